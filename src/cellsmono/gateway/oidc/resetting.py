"""``/oidc/reset``: somebody with a link chooses a new password."""

from aiohttp import web

from cellsmono.gateway.oidc.context import CONTEXT
from cellsmono.gateway.oidc.errors import PageError
from cellsmono.gateway.oidc.forms import read_form
from cellsmono.gateway.oidc.pages import notice_page, reset_page
from cellsmono.interfaces.signing_in import ReadReset, UseReset
from cellsmono.kernel.errors import Forbidden, Invalid, Unavailable

DIFFERENT = "The two are not the same."


async def show(request: web.Request) -> web.Response:
    """GET: the form, for a link that is good. To look at it does not use it up: mail programs do."""
    return reset_page(await _read_login(request))


async def submit(request: web.Request) -> web.Response:
    """POST of the form. It needs no mark: whoever knows the link may send it."""
    login = await _read_login(request)
    form = await read_form(request)
    password = form.get("password", "")
    if password != form.get("again", ""):
        return reset_page(login, DIFFERENT, 400)
    try:
        await request.app[CONTEXT].people.perform(UseReset(request.query.get("token", ""), password))
    except Invalid as error:
        return reset_page(login, error.message, 400)
    except Unavailable as error:
        return reset_page(login, error.message, 503)
    except Forbidden:
        raise _refuse() from None
    return notice_page("Your password is set", "You can sign in with it from now on.")


async def _read_login(request: web.Request) -> str:
    try:
        user = await request.app[CONTEXT].people.perform(ReadReset(request.query.get("token", "")))
    except Forbidden:
        raise _refuse() from None
    return user.login


def _refuse() -> PageError:
    return PageError("The link is not good, or not any more. Ask your administrator for another.", 403)
