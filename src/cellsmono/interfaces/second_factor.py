"""Second factors: codes of a generator (TOTP) beside the password."""

import msgspec


class NewTotp(msgspec.Struct, frozen=True):
    """A new second factor: the only time that any of this is told.

    ``secret`` is what people type into a generator, ``uri`` the same as an address that it can read from a picture.
    ``recovery_codes`` are good once each, in the place of its codes.
    """

    login: str
    secret: str
    uri: str
    recovery_codes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"NewTotp({self.login!r})"


class ShownTotp(msgspec.Struct, frozen=True):
    """Whether a user has a second factor, since when (seconds since the epoch, UTC), and how many recovery codes."""

    login: str
    is_enabled: bool = False
    created: float = 0.0
    recovery_codes: int = 0
