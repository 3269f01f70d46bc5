"""The S3 endpoint: from an HTTP request to an operation, and from its outcome to an answer."""

import asyncio
import secrets
from typing import Final

from aiohttp import web

from cellsmono.gateway.http import Exchange, Reply, send_reply
from cellsmono.gateway.s3.addressing import Target, parse_target, split_target
from cellsmono.gateway.s3.authentication import Authenticator
from cellsmono.gateway.s3.circumstances import with_circumstances
from cellsmono.gateway.s3.claims import merge_hoisted
from cellsmono.gateway.s3.cors import build_cors_headers
from cellsmono.gateway.s3.errors import S3Error, from_domain, render
from cellsmono.gateway.s3.identity import Identity, SignedRequest
from cellsmono.gateway.s3.operations import find_operation
from cellsmono.gateway.s3.request import S3Context, S3Request, check_expected_owner
from cellsmono.gateway.s3.respond import XML_TYPE
from cellsmono.gateway.s3.settings import S3Settings
from cellsmono.interfaces.credentials import Signers
from cellsmono.interfaces.router import NodeRouter
from cellsmono.kernel.clock import Clock, SystemClock
from cellsmono.kernel.errors import CellsError
from cellsmono.kernel.log import get_logger

_LOG = get_logger("gateway.s3")

_NO_BODY_SECONDS: Final = 1.0
_COPY_SOURCE: Final = "x-amz-copy-source"

# What a user stored must not act as a page of the application that is served from the same origin.
_SANDBOX: Final = [("Content-Security-Policy", "sandbox; default-src 'none'"), ("X-Content-Type-Options", "nosniff")]


class S3Gateway:
    """Handles S3 requests on behalf of a listener: ``handle`` is the listener's handler."""

    def __init__(
        self,
        router: NodeRouter,
        signers: Signers,
        settings: S3Settings = S3Settings(),  # noqa: B008 - frozen
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._domains = settings.domains
        self._authenticator = Authenticator(
            signers,
            region=settings.region,
            clock=clock,
            allow_v2=settings.sigv2,
            clock_skew=settings.clock_skew_seconds,
        )
        self._context = S3Context(router, settings, clock, self._authenticator, signers)
        self._host_id = secrets.token_urlsafe(24)

    async def handle(self, exchange: Exchange) -> web.StreamResponse:
        """Answer one request. Never raises for what a client or the storage did wrong; ConnectionError when it left."""
        target = Target()
        try:
            raw_path, raw_query = split_target(exchange.raw_path)
            target = parse_target(raw_path, exchange.headers.get("Host", ""), self._domains)
            reply = await self._run(exchange, target, raw_path, raw_query)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            reply = self._reply_error(exchange, error)
        bucket_settings = self._context.router.find_settings(target.bucket)
        if bucket_settings is not None and bucket_settings.cors and exchange.method != "OPTIONS":
            reply.headers += build_cors_headers(bucket_settings.cors, exchange.method, exchange.headers)
        reply.headers.append(("x-amz-request-id", exchange.request_id))
        reply.headers.append(("x-amz-id-2", self._host_id))
        if exchange.shares_origin:
            reply.headers += _SANDBOX
        return await send_reply(exchange, reply)

    async def _run(self, exchange: Exchange, target: Target, raw_path: str, raw_query: str) -> Reply:
        headers = exchange.headers
        host = headers.get("Host", "")
        signed = SignedRequest(
            exchange.method,
            raw_path,
            raw_query,
            headers,
            host,
            target.bucket if target.bucket_in_host else "",
        )
        query = signed.query
        is_copy = _COPY_SOURCE in headers
        exchange.operation, operation = find_operation(exchange.method, target.bucket, target.key, query, is_copy)
        identity = self._authenticator.authenticate(signed) if exchange.method != "OPTIONS" else Identity()
        request = S3Request(
            exchange, target.bucket, target.key, query, identity, self._context.find_actor(identity), host
        )
        if identity.kind == "query" and identity.version == 4:  # noqa: PLR2004 - the signature's version
            request.headers = merge_hoisted(headers, query)
            is_copy = _COPY_SOURCE in request.headers
            exchange.operation, operation = find_operation(exchange.method, target.bucket, target.key, query, is_copy)
        check_expected_owner(request.headers)
        router = self._context.router
        if request.actor.kind != "owner" or is_copy or router.find_settings(target.bucket) is not None:
            now = self._context.clock.time()
            request.actor = with_circumstances(request.actor, identity, exchange, request.headers, query, now)
        return await operation(self._context, request)

    def _reply_error(self, exchange: Exchange, cause: Exception) -> Reply:
        error = from_domain(cause)
        if error.status >= 500 and not isinstance(cause, S3Error):  # noqa: PLR2004
            # What the domain foresees says it all; only for the rest does it help to know where it came from.
            is_foreseen = isinstance(cause, CellsError)
            _LOG.error(
                "operation failed",
                operation=exchange.operation,
                code=error.code,
                error=str(cause),
                exc_info=None if is_foreseen else cause,
            )
        exchange.fields = {"error": error.code}
        reply = Reply(error.status, list(error.headers.items()))
        if error.status != 304:  # noqa: PLR2004
            if not error.resource:
                error.resource = split_target_path(exchange.raw_path)
            body = render(error, exchange.request_id, self._host_id)
            reply.headers.append(XML_TYPE)
            if exchange.method != "HEAD":
                reply.body = body
                reply.length = len(body)
        if exchange.awaits_continue:
            # The body was never asked for; a client that sees the answer does not send it.
            reply.close = True
            exchange.connection.limit_lingering(_NO_BODY_SECONDS)
        return reply


def split_target_path(raw_path: str) -> str:
    """The path of a request target, for error documents."""
    return raw_path.partition("?")[0]
