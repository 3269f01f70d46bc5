"""``/oidc/oauth2/auth``: somebody signs in, or goes on as who signed in before, and a client gets a code."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from cellsmono.gateway.oidc.authorization import Asked, add_to_redirect, read_asked, read_target
from cellsmono.gateway.oidc.clients import is_assured
from cellsmono.gateway.oidc.context import CONTEXT, OidcContext, agent_of
from cellsmono.gateway.oidc.discovery import issuer_of
from cellsmono.gateway.oidc.errors import OAuthError, PageError
from cellsmono.gateway.oidc.forms import BROWSER_COOKIE, FORM_COOKIE, find_nonce, read_cookie, read_form, set_cookie
from cellsmono.gateway.oidc.pages import continue_page, sign_in_page
from cellsmono.interfaces.sessions import Browser
from cellsmono.interfaces.signing_in import EndBrowser, GrantCode, ReadBrowser, SignInBrowser
from cellsmono.kernel.errors import Forbidden, Unavailable

STALE_FORM = "That page was too old. Please try again."


async def show(request: web.Request) -> web.Response:
    """GET: a page, or straight back to the client for somebody who is signed in."""
    return await _answer(request, _Visit.begin)


async def submit(request: web.Request) -> web.Response:
    """POST of one of the two pages."""
    return await _answer(request, _Visit.go_on)


async def _answer(request: web.Request, step: "Callable[[_Visit], Awaitable[web.Response]]") -> web.Response:
    context = request.app[CONTEXT]
    site = context.site.find(request)
    client, redirect = read_target(request.query, context.clients, site)
    try:
        visit = _Visit(request, context, site, read_asked(request.query, client, redirect))
        return await step(visit)
    except OAuthError as error:
        fields = {"error": error.code, "error_description": error.text}
        return _send_back(request, site, redirect, fields, request.query.get("state", ""))


def _send_back(request: web.Request, site: str, redirect: str, fields: dict[str, str], state: str) -> web.Response:
    """To the client, which is told who answers as well (RFC 9207)."""
    location = add_to_redirect(redirect, {**fields, "state": state, "iss": issuer_of(site)})
    return web.Response(status=303 if request.method == "POST" else 302, headers={"Location": location})


class _Visit:
    """One request to the page."""

    def __init__(self, request: web.Request, context: OidcContext, site: str, asked: Asked) -> None:
        self._request = request
        self._context = context
        self._site = site
        self._asked = asked
        self._nonce = read_cookie(request, FORM_COOKIE, site)
        self._cookie = read_cookie(request, BROWSER_COOKIE, site)

    async def begin(self) -> web.Response:
        """Whoever is signed in goes on; others are asked."""
        prompt, browser = self._asked.prompt, await self._read_browser()
        if browser is None or "login" in prompt or self._is_too_old(browser):
            if "none" in prompt:
                raise OAuthError("login_required", "Somebody has to sign in")
            return self._show_sign_in()
        if not is_assured(self._asked.wanted.redirect, self._site) or prompt & {"consent", "select_account"}:
            if "none" in prompt:
                raise OAuthError("interaction_required", "Somebody has to be asked")
            return self._show_continue(browser)
        return await self._grant(self._cookie)

    async def go_on(self) -> web.Response:
        """What somebody chose on a page."""
        fields = await read_form(self._request)
        if not self._context.site.is_own_origin(self._request):
            raise PageError("The form was sent by another site.", 403)
        if not self._context.forms.is_good(self._nonce, fields.get("mark", "")):
            return self._show_sign_in(error=STALE_FORM, status=403)
        action = fields.get("action", "sign-in")
        if action == "switch":
            await self._context.people.perform(EndBrowser(self._cookie))
            return self._show_sign_in()
        if action == "continue":
            return await self._continue()
        return await self._sign_in(fields.get("login", ""), fields.get("password", ""), fields.get("code", ""))

    async def _continue(self) -> web.Response:
        browser = await self._read_browser()
        if browser is None or "login" in self._asked.prompt or self._is_too_old(browser):
            return self._show_sign_in()
        return await self._grant(self._cookie)

    async def _sign_in(self, login: str, password: str, code: str) -> web.Response:
        """The cookie is always a new one: one that somebody else put there lets nobody in."""
        request = self._request
        wanted = SignInBrowser(login, password, agent_of(request), request.remote or "", self._cookie, code)
        try:
            browser = await self._context.people.perform(wanted)
        except Forbidden as error:
            return self._show_sign_in(login, error.message, 403)
        except Unavailable as error:
            return self._show_sign_in(login, error.message, 503)
        response = await self._grant(browser.secret)
        set_cookie(response, BROWSER_COOKIE, browser.secret, self._site)
        return response

    async def _grant(self, cookie: str) -> web.Response:
        code = await self._context.people.perform(GrantCode(cookie, self._asked.wanted))
        fields = {"code": code, "scope": self._asked.wanted.scope}
        return _send_back(self._request, self._site, self._asked.wanted.redirect, fields, self._asked.state)

    async def _read_browser(self) -> Browser | None:
        if not self._cookie:
            return None
        try:
            browser = await self._context.people.perform(ReadBrowser(self._cookie))
        except Forbidden:
            return None
        return browser

    def _is_too_old(self, browser: Browser) -> bool:
        age = self._context.clock.time() - browser.since
        return 0 <= self._asked.max_age < age

    def _show_sign_in(self, login: str = "", error: str = "", status: int = 200) -> web.Response:
        target, nonce = self._asked.wanted.redirect, find_nonce(self._request, self._site)
        mark = self._context.forms.mark(nonce)
        response = sign_in_page(self._client_name, mark, target, login, error, status)
        set_cookie(response, FORM_COOKIE, nonce, self._site)
        return response

    def _show_continue(self, browser: Browser) -> web.Response:
        nonce = find_nonce(self._request, self._site)
        mark = self._context.forms.mark(nonce)
        shown = browser.user.attributes.get("displayName", "") or browser.user.login
        response = continue_page(self._client_name, mark, self._asked.wanted.redirect, shown)
        set_cookie(response, FORM_COOKIE, nonce, self._site)
        return response

    @property
    def _client_name(self) -> str:
        return self._asked.client.name or self._asked.client.id
