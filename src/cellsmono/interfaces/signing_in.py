"""What can be asked about signing in, as in ``interfaces.people``: browsers and codes, second factors, links.

Whatever is not good any more (a cookie, a code) raises Forbidden: nobody can tell why.
"""

from cellsmono.interfaces.oidc import Granted, Wanted
from cellsmono.interfaces.people import Request
from cellsmono.interfaces.resets import NewReset
from cellsmono.interfaces.second_factor import NewTotp, ShownTotp
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


class EnableTotp(Request[NewTotp], frozen=True):
    """Ask a user for a code beside the password from now on. Raises AlreadyExists (reason ``totp``)."""

    login: str


class DisableTotp(Request[None], frozen=True):
    """Ask for no code any more. Raises NotFound (reason ``totp``) for a user who has no second factor."""

    login: str


class ReadTotp(Request[ShownTotp], frozen=True):
    """Whether a user has a second factor."""

    login: str


class CreateReset(Request[NewReset], frozen=True):
    """Make a link with which a user chooses a new password, good once and for ``seconds``. One made before ends."""

    login: str
    seconds: float = 86_400.0


class ReadReset(Request[User], frozen=True):
    """Whose link a secret is. Raises Forbidden (reason ``reset``) for one that is not good, or not any more."""

    secret: str

    def __repr__(self) -> str:
        return "ReadReset()"


class UseReset(Request[None], frozen=True):
    """Give the user of a link a new password, as ``SetPassword``; the link is used up. Raises as ``ReadReset``."""

    secret: str
    password: str

    def __repr__(self) -> str:
        return "UseReset()"
