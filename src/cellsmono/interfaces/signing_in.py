"""What the sign-in page and the token endpoint ask about people, as in ``interfaces.people``.

Whatever is not good any more (a cookie, a code) raises Forbidden: nobody can tell why.
"""

from cellsmono.interfaces.oidc import Granted, Wanted
from cellsmono.interfaces.people import Request
from cellsmono.interfaces.sessions import Browser
from cellsmono.interfaces.users import User


class SignInBrowser(Request[Browser], frozen=True):
    """Sign in with a browser by password, and ``code`` for who has a second factor. Raises as ``CheckPassword``.

    ``replaces`` is the cookie that the browser had before; it is good no more.
    """

    login: str
    password: str
    agent: str = ""
    address: str = ""
    replaces: str = ""
    code: str = ""

    def __repr__(self) -> str:
        return f"SignInBrowser({self.login!r})"


class ReadBrowser(Request[Browser], frozen=True):
    """Who signed in with a browser; ``secret`` is its cookie. Raises Forbidden (reason ``browser``)."""

    secret: str

    def __repr__(self) -> str:
        return "ReadBrowser()"


class EndBrowser(Request[None], frozen=True):
    """Sign a browser out. A cookie that is not good any more is no error."""

    secret: str

    def __repr__(self) -> str:
        return "EndBrowser()"


class GrantCode(Request[str], frozen=True):
    """A code for a client, good once and for a minute. Raises Forbidden (reason ``browser``) as ``ReadBrowser``."""

    browser: str
    wanted: Wanted

    def __repr__(self) -> str:
        return f"GrantCode({self.wanted.client!r})"


class RedeemCode(Request[Granted], frozen=True):
    """Begin the session of a client for a code.

    Raises Forbidden (reason ``code``) if code, client, redirect and verifier do not belong together. A code that was
    redeemed before ends the session that it brought: one of the two has stolen it.
    """

    code: str
    client: str
    redirect: str
    verifier: str = ""
    agent: str = ""
    address: str = ""

    def __repr__(self) -> str:
        return f"RedeemCode({self.client!r})"


class EndByToken(Request[None], frozen=True):
    """End the session that a token or refresh token of a client belongs to. Anything else is no error."""

    token: str
    client: str

    def __repr__(self) -> str:
        return f"EndByToken({self.client!r})"


class ReadBearer(Request[tuple[User, str]], frozen=True):
    """The user of a token, and the scope of what may be told about the user: empty for one bound to nodes.

    Raises Forbidden (reason ``token``). Unlike ``interfaces.bearers`` it takes tokens that are good for nothing else.
    """

    token: str

    def __repr__(self) -> str:
        return "ReadBearer()"
