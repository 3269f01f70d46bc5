"""The main listener's handler: S3 for requests that are signed for it, REST, and an application for everything else.

The signature decides before the path does: with virtual hosts ``/a/key`` is the key of an object as well, and a bucket
``a``, which a signed request may ask for by path, can not be, so that S3 says so.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import cast

from aiohttp import web

from cellsmono.gateway.http.exchange import Exchange, Handler

REST_BASE = "/a"
"""The path below which everything is REST's, but for requests that are signed for S3."""


class MainHandler:
    """Hands each request to S3, to REST or to the application."""

    def __init__(self, s3: Handler | None, runner: web.AppRunner, rest: Handler | None = None) -> None:
        self._s3 = s3
        self._rest = rest
        self._runner = runner

    async def __call__(self, request: Exchange) -> web.StreamResponse:
        """Handle one request."""
        if self._s3 is not None and is_signed_for_s3(request):
            request.shares_origin = True
            return await self._s3(request)
        if self._rest is not None and is_rest(request.raw_path):
            request.shares_origin = True
            return await self._rest(request)
        return await self._handle_app(request)

    async def _handle_app(self, request: Exchange) -> web.StreamResponse:
        server = cast(web.Server, self._runner.server)
        request.operation = "app"
        inner = server.request_factory(
            request._message, request._payload, request.connection, request.writer, request.task
        )
        try:
            response = await server.request_handler(inner)
        except web.HTTPException as error:
            response = error
        if request.connection.draining and not response.prepared:
            response.force_close()
        # Prepared with the application's own request, so that its on_response_prepare signals run.
        await response.prepare(inner)
        await response.write_eof()
        return response


def is_rest(raw_path: str) -> bool:
    """Whether a request target is below ``/a``."""
    path = raw_path.partition("?")[0]
    return path == REST_BASE or path.startswith(REST_BASE + "/")


def is_signed_for_s3(request: web.BaseRequest) -> bool:
    """Whether a request carries an S3 signature (header, or presigned query; version 4 or 2)."""
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith(("AWS4-", "AWS ")):
        return True
    query = request.raw_path.partition("?")[2]
    if not query:
        return False
    names = {part.partition("=")[0] for part in query.split("&")}
    return "X-Amz-Algorithm" in names or "X-Amz-Signature" in names or {"AWSAccessKeyId", "Signature"} <= names


@asynccontextmanager
async def build_main_handler(
    s3: Handler | None, app: web.Application, rest: Handler | None = None
) -> AsyncIterator[MainHandler]:
    """The main listener's handler; the application is started on entry and cleaned up on exit."""
    runner = web.AppRunner(app, handle_signals=False, access_log=None)
    await runner.setup()
    try:
        yield MainHandler(s3, runner, rest)
    finally:
        await runner.cleanup()


def build_app_handler(app: web.Application) -> AbstractAsyncContextManager[MainHandler]:
    """The handler of a listener that serves an application alone, used as ``build_main_handler``."""
    return build_main_handler(None, app)
