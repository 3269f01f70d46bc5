"""The routes, and what all answers have in common."""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from cellsmono.gateway.oidc import resetting, signing_in, signing_out
from cellsmono.gateway.oidc.clients import OOB_PATH
from cellsmono.gateway.oidc.context import CONTEXT, OidcContext
from cellsmono.gateway.oidc.discovery import BASE, show_keys, show_metadata
from cellsmono.gateway.oidc.errors import OAuthError, PageError
from cellsmono.gateway.oidc.pages import code_page, notice_page
from cellsmono.gateway.oidc.tokens import give_tokens, revoke
from cellsmono.gateway.oidc.userinfo import show_user
from cellsmono.kernel.errors import CellsError
from cellsmono.kernel.log import get_logger

log = get_logger("gateway.oidc")

Handler = Callable[[web.Request], Awaitable[web.Response]]

_CODE = re.compile(r"[A-Za-z0-9]{1,100}")
_ALWAYS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Forms are to tell where they come from, and nobody else where somebody was.
    "Referrer-Policy": "same-origin",
}


def add_oidc(app: web.Application, context: OidcContext) -> None:
    """Add the routes to the application of the main listener, which signed S3 requests and REST never reach."""
    app[CONTEXT] = context
    auth, out = _for_people(signing_in.show), _for_people(signing_out.show)
    app.add_routes(
        [
            web.get(f"{BASE}/.well-known/openid-configuration", _for_programs(show_metadata)),
            web.get(f"{BASE}/.well-known/jwks.json", _for_programs(show_keys)),
            web.get(f"{BASE}/oauth2/auth", auth),
            web.post(f"{BASE}/oauth2/auth", _for_people(signing_in.submit)),
            web.post(f"{BASE}/oauth2/token", _for_programs(give_tokens)),
            web.post(f"{BASE}/oauth2/revoke", _for_programs(revoke)),
            web.get(f"{BASE}/userinfo", _for_programs(show_user)),
            web.post(f"{BASE}/userinfo", _for_programs(show_user)),
            web.get(f"{BASE}/reset", _for_people(resetting.show)),
            web.post(f"{BASE}/reset", _for_people(resetting.submit)),
            web.get(f"{BASE}/logout", out),
            web.post(f"{BASE}/logout", _for_people(signing_out.submit)),
            web.get(f"{BASE}{OOB_PATH}", _for_people(_show_code)),
            web.get(OOB_PATH, _for_people(_show_code)),
        ]
    )


async def _show_code(request: web.Request) -> web.Response:
    code = request.query.get("code", "")
    if _CODE.fullmatch(code) is None:
        raise PageError("You were not signed in. Begin again in the program that you came from.")
    return code_page(code)


def _for_people(handler: Handler) -> Handler:
    """Errors become pages."""

    async def handle(request: web.Request) -> web.Response:
        try:
            response = await handler(request)
        except PageError as error:
            response = notice_page("This did not work", error.text, error.status)
        except CellsError as error:
            response = notice_page("This did not work", _describe(error), 503)
        return _finish(response)

    return handle


def _for_programs(handler: Handler) -> Handler:
    """Errors become JSON (RFC 6749, section 5.2). ``status_code`` is what a client of Cells looks at."""

    async def handle(request: web.Request) -> web.Response:
        try:
            response = await handler(request)
        except OAuthError as error:
            response = _refuse(error.code, error.text, error.status)
        except PageError as error:
            response = _refuse("invalid_request", error.text, error.status)
        except CellsError as error:
            response = _refuse("temporarily_unavailable", _describe(error), 503)
        return _finish(response)

    return handle


def _describe(error: CellsError) -> str:
    """What strangers are told of a failure: whether it helps to try again, and not what is wrong inside."""
    log.warning("sign-in is not possible", error=error.message)
    return "The server can not do this now. Please try again later."


def _refuse(code: str, text: str, status: int) -> web.Response:
    body = {"error": code, "error_description": text, "status_code": status}
    response = web.json_response(body, status=status)
    if status == 401:  # noqa: PLR2004
        response.headers["WWW-Authenticate"] = 'Basic realm="cellsmono"'
    return response


def _finish(response: web.Response) -> web.Response:
    for name, value in _ALWAYS.items():
        response.headers[name] = value
    return response
