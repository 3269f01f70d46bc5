"""Forms that only a page of this server can have sent, and the cookie of a browser that is signed in."""

import hashlib
import hmac
import re
import secrets

from aiohttp import web
from multidict import MultiDict

from cellsmono.gateway.oidc.errors import PageError

FORM_COOKIE = "cells_form"
BROWSER_COOKIE = "cells_browser"
_PATH = "/oidc"
_NONCE = re.compile(r"[A-Za-z0-9_-]{43}")


class Forms:
    """A form carries a mark that belongs to a cookie of the same browser, and to this process.

    Another site can make a browser send a form, but neither read the mark nor know one that goes with the cookie. The
    key of the marks dies with the process: a page that was open meanwhile is shown anew.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def mark(self, nonce: str) -> str:
        """What the form carries."""
        return hmac.new(self._key, nonce.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def is_good(self, nonce: str, mark: str) -> bool:
        """Whether a mark goes with a cookie."""
        return bool(nonce) and hmac.compare_digest(self.mark(nonce).encode(), mark.encode("utf-8", "replace"))


async def read_form(request: web.Request) -> MultiDict[str]:
    """The fields of a form, without files. Raises PageError for a body that is none."""
    try:
        form = await request.post()
    except (ValueError, LookupError):
        raise PageError("The form can not be read.") from None
    except web.HTTPRequestEntityTooLarge:
        raise PageError("The form is too large.", 413) from None
    return MultiDict((name, value) for name, value in form.items() if isinstance(value, str))


def find_nonce(request: web.Request, site: str) -> str:
    """The value of the form cookie: a fresh one, or the one that pages in other tabs go with."""
    present = read_cookie(request, FORM_COOKIE, site)
    return present if _NONCE.fullmatch(present) else secrets.token_urlsafe(32)


def read_cookie(request: web.Request, name: str, site: str) -> str:
    """A cookie of ours; empty when there is none."""
    return request.cookies.get(_name(name, site), "")


def set_cookie(response: web.StreamResponse, name: str, value: str, site: str) -> None:
    """For this server and no script, until the browser ends; empty removes it."""
    is_secure = site.startswith("https:")
    path = "/" if is_secure else _PATH
    if value:
        response.set_cookie(_name(name, site), value, path=path, httponly=True, secure=is_secure, samesite="Lax")
    else:
        response.del_cookie(_name(name, site), path=path, httponly=True, secure=is_secure, samesite="Lax")


def _name(name: str, site: str) -> str:
    """Over TLS with a prefix that no neighbouring host can set a cookie of (RFC 6265bis, section 4.1.3.2)."""
    return f"__Host-{name}" if site.startswith("https:") else name
