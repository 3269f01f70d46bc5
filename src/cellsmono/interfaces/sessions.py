"""Sessions: what somebody who signed in by password goes on with, instead of sending the password each time."""

import msgspec

from cellsmono.interfaces.tokens import Token

REFRESH_PREFIX = "cmr_"  # what every refresh token begins with


class Session(msgspec.Struct, frozen=True):
    """A session as it is told to whoever has it: both texts are told this once.

    ``access`` is a token as any other and ends at ``token.expires``. ``refresh`` brings the next one, is good once, and
    ends at ``refresh_expires``, in seconds since the epoch, UTC; so does the session.
    """

    token: Token
    access: str
    refresh: str
    refresh_expires: float

    def __repr__(self) -> str:
        return f"Session({self.token.id})"
