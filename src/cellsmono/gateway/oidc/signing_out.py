"""``/oidc/logout``: a browser is signed out. Clients keep their sessions until those are revoked or end."""

from aiohttp import web

from cellsmono.gateway.oidc.context import CONTEXT
from cellsmono.gateway.oidc.errors import PageError
from cellsmono.gateway.oidc.forms import BROWSER_COOKIE, FORM_COOKIE, find_nonce, read_cookie, read_form, set_cookie
from cellsmono.gateway.oidc.pages import notice_page, sign_out_page
from cellsmono.interfaces.signing_in import EndBrowser, ReadBrowser
from cellsmono.kernel.errors import Forbidden

_TITLE = "Signed out"
_TEXT = "Nobody is signed in with this browser."


async def show(request: web.Request) -> web.Response:
    """GET: asks, since any page can lead here."""
    context = request.app[CONTEXT]
    site = context.site.find(request)
    try:
        browser = await context.people.perform(ReadBrowser(read_cookie(request, BROWSER_COOKIE, site)))
    except Forbidden:
        return notice_page(_TITLE, _TEXT)
    nonce = find_nonce(request, site)
    response = sign_out_page(
        context.forms.mark(nonce), browser.user.attributes.get("displayName") or browser.user.login
    )
    set_cookie(response, FORM_COOKIE, nonce, site)
    return response


async def submit(request: web.Request) -> web.Response:
    """POST of that page."""
    context = request.app[CONTEXT]
    site = context.site.find(request)
    form = await read_form(request)
    is_marked = context.forms.is_good(read_cookie(request, FORM_COOKIE, site), form.get("mark", ""))
    if not is_marked or not context.site.is_own_origin(request):
        raise PageError("The form was sent by another site, or it was too old. Open the page again.", 403)
    await context.people.perform(EndBrowser(read_cookie(request, BROWSER_COOKIE, site)))
    response = notice_page(_TITLE, _TEXT)
    set_cookie(response, BROWSER_COOKIE, "", site)
    return response
