"""The REST gateway: from an HTTP request to a handler, and from its outcome to an answer."""

from typing import Any, Final

import msgspec
from aiohttp import web

from cellsmono.gateway.http import Exchange, Reply, send_reply
from cellsmono.gateway.rest.bodies import read_json
from cellsmono.gateway.rest.call import NOBODY, Call, Caller, RestContext
from cellsmono.gateway.rest.errors import JSON_TYPE, RestError, from_domain, reply_error
from cellsmono.gateway.rest.routes import BASE, Access, Route, Table, unauthorized, unquote_path
from cellsmono.gateway.rest.table import ROUTES
from cellsmono.kernel.errors import CellsError
from cellsmono.kernel.log import get_logger

_LOG = get_logger("gateway.rest")

_NO_BODY_SECONDS: Final = 1.0
_ALWAYS: Final = [("X-Content-Type-Options", "nosniff"), ("Content-Security-Policy", "sandbox; default-src 'none'")]


class RestGateway:
    """Handles requests below ``/a`` on behalf of a listener: ``handle`` is the handler."""

    def __init__(self, context: RestContext) -> None:
        self._context = context
        self._table = Table(ROUTES)
        context.routes = ROUTES

    async def handle(self, exchange: Exchange) -> web.StreamResponse:
        """Answer one request. Never raises for what a client or the storage did wrong; ConnectionError when it left."""
        try:
            reply = await self._run(exchange)
        except ConnectionError:
            raise
        except Exception as error:
            reply = self._reply_error(exchange, error)
        reply.headers += _ALWAYS
        reply.headers.append(("X-Request-Id", exchange.request_id))
        if not any(name == "Cache-Control" for name, _ in reply.headers):
            reply.headers.append(("Cache-Control", "no-store"))
        return await send_reply(exchange, reply)

    async def _run(self, exchange: Exchange) -> Reply:
        exchange.operation = "rest"
        raw_path, _, raw_query = exchange.raw_path.partition("?")
        route, parameters = self._table.find(exchange.method, raw_path.removeprefix(BASE))
        exchange.operation = f"rest.{route.name}"
        caller = self._find_caller(exchange, route)
        route.check_access(caller)
        self._check_policies(exchange, caller, raw_path.removeprefix(BASE))
        call = Call(exchange, parameters, raw_query, caller, self._context.clock.time())
        body = await read_json(exchange, route.takes) if route.takes is not None else None
        return _reply(await route.handler(self._context, call, body))

    def _check_policies(self, exchange: Exchange, caller: Caller, raw_path: str) -> None:
        """Raise RestError (401 or 403) for what policies do not allow, though the route would."""
        context = {"RequestMethod": exchange.method, "RequestURI": BASE + raw_path}
        context["UserAgent"] = exchange.headers.get("User-Agent", "")
        if exchange.remote:
            context["RemoteAddress"] = exchange.remote
        method = "GET" if exchange.method == "HEAD" else exchange.method
        verdict = self._context.policies.judge_request(caller.user, method, unquote_path(raw_path), context)
        if verdict.allowed:
            return
        _LOG.info("refused by policy", operation=exchange.operation, policy=verdict.policy)
        if caller.user is None:
            raise unauthorized("Sign in first: send a token as `Authorization: Bearer TOKEN`")
        raise RestError(403, "policy", "A policy does not allow this")

    def _find_caller(self, exchange: Exchange, route: Route) -> Caller:
        """Who asks. Raises RestError (401) for a token that is not good, whatever is wrong with it."""
        text = exchange.headers.get("Authorization")
        if text is None or route.access is Access.OPEN:
            return NOBODY
        scheme, _, token = text.partition(" ")
        found = self._context.bearers.find_bearer(token.strip()) if scheme.lower() == "bearer" else None
        if found is None:
            raise unauthorized("The token is not good, or not any more: sign in again", "token")
        return Caller(found.user, found.token)

    def _reply_error(self, exchange: Exchange, cause: Exception) -> Reply:
        error = from_domain(cause)
        if error.status >= 500:  # noqa: PLR2004
            is_foreseen = isinstance(cause, CellsError)
            _LOG.error(
                "operation failed",
                operation=exchange.operation,
                code=error.code,
                error=str(cause),
                exc_info=None if is_foreseen else cause,
            )
        exchange.fields = {"error": error.code}
        reply = reply_error(exchange, error)
        if exchange.awaits_continue:
            # The body was never asked for; a client that sees the answer does not send it.
            reply.close = True
            exchange.connection.limit_lingering(_NO_BODY_SECONDS)
        return reply


def _reply(outcome: Any) -> Reply:
    if isinstance(outcome, Reply):
        return outcome
    return Reply(200, [("Content-Type", JSON_TYPE)], msgspec.json.encode(outcome))
