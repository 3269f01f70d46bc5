"""Links with which somebody chooses a new password."""

import msgspec

RESET_PREFIX = "cmp_"  # what the secret of every link begins with


class NewReset(msgspec.Struct, frozen=True):
    """A link's secret, told this once, and when it ends, in seconds since the epoch, UTC."""

    login: str
    secret: str
    expires: float

    def __repr__(self) -> str:
        return f"NewReset({self.login!r})"
