"""``/oidc/userinfo``: who the bearer of an access token is."""

from aiohttp import web

from cellsmono.gateway.oidc.claims import claims_of
from cellsmono.gateway.oidc.context import CONTEXT
from cellsmono.interfaces.signing_in import ReadScope
from cellsmono.interfaces.tokens import TokenKind
from cellsmono.kernel.errors import NotFound

EVERYTHING = "openid profile email pydio"
"""For those who are the user anyway: a session by password over REST, and a token that may do all that the user may."""


async def show_user(request: web.Request) -> web.Response:
    """GET and POST (OpenID Connect Core, section 5.3)."""
    context = request.app[CONTEXT]
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    found = context.bearers.find_bearer(text.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        return _refuse(401, "invalid_token")
    if found.token.scopes:
        return _refuse(403, "insufficient_scope")
    scope = EVERYTHING
    if found.token.kind is TokenKind.SESSION:
        try:
            scope = await context.people.perform(ReadScope(found.token.id)) or EVERYTHING
        except NotFound:
            return _refuse(401, "invalid_token")
    if "openid" not in scope.split():
        return _refuse(403, "insufficient_scope")
    return web.json_response(claims_of(found.user, scope))


def _refuse(status: int, code: str) -> web.Response:
    return web.json_response({"error": code}, status=status, headers={"WWW-Authenticate": f'Bearer error="{code}"'})
