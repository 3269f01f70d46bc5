"""``/oidc/userinfo``: who the bearer of an access token is."""

from aiohttp import web

from cellsmono.gateway.oidc.claims import claims_of
from cellsmono.gateway.oidc.context import CONTEXT
from cellsmono.interfaces.signing_in import ReadBearer
from cellsmono.kernel.errors import Forbidden


async def show_user(request: web.Request) -> web.Response:
    """GET and POST (OpenID Connect Core, section 5.3)."""
    context = request.app[CONTEXT]
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    try:
        user, scope = await context.people.perform(ReadBearer(text.strip() if kind.lower() == "bearer" else ""))
    except Forbidden:
        return _refuse(401, "invalid_token")
    if "openid" not in scope.split():
        return _refuse(403, "insufficient_scope")
    return web.json_response(claims_of(user, scope))


def _refuse(status: int, code: str) -> web.Response:
    return web.json_response({"error": code}, status=status, headers={"WWW-Authenticate": f'Bearer error="{code}"'})
