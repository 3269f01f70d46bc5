"""Sessions: what somebody who signed in goes on with, instead of sending the password each time."""

import msgspec

from cellsmono.interfaces.tokens import Token, TokenKind
from cellsmono.interfaces.users import User

REFRESH_PREFIX = "cmr_"  # what every refresh token begins with
FULL_ACCESS = "pydio"
"""The scope of a session whose tokens are good for whatever the user may do. Others only tell who somebody is."""
OWN_SCOPE = f"openid email profile {FULL_ACCESS}"
"""The scope of sessions by password over REST."""
FRONTEND = "cells-frontend"
"""The client that sessions belong to which were begun by password over REST."""


class Origin(msgspec.Struct, frozen=True):
    """Where a sign-in comes from, as lists show it: the client's id, what it says it is, and its address."""

    client: str = FRONTEND
    agent: str = ""
    address: str = ""


class Session(msgspec.Struct, frozen=True):
    """A session as it is told to whoever has it: both texts are told this once.

    ``access`` is a token as any other and ends at ``token.expires``. ``refresh`` brings the next one, is good once, and
    ends at ``refresh_expires``, in seconds since the epoch, UTC; so does the session. ``refresh`` is empty for a client
    that did not ask to go on. ``scope`` is what the client asked for.
    """

    token: Token
    access: str
    refresh: str
    refresh_expires: float
    user: str = ""
    """UUID."""
    scope: str = ""

    def __repr__(self) -> str:
        return f"Session({self.token.id})"


class Browser(msgspec.Struct, frozen=True):
    """A browser that somebody signed in with: ``secret`` is its cookie, told once and empty otherwise.

    It is good at the sign-in page alone, which gives clients their sessions. ``since`` is the moment of the sign-in and
    ``ends`` the latest end, in seconds since the epoch, UTC.
    """

    id: str
    user: User
    since: float
    ends: float
    secret: str = ""

    def __repr__(self) -> str:
        return f"Browser({self.id})"


class ShownSession(msgspec.Struct, frozen=True):
    """A session in a list. ``kind`` tells a client's (SESSION) from a browser's (BROWSER).

    ``expires`` is when it ends if it is not used before, ``ends`` when it does in any case. Times are seconds since the
    epoch, UTC.
    """

    id: str
    login: str
    kind: TokenKind
    client: str
    agent: str
    address: str
    created: float
    last_used: float
    expires: float
    ends: float
