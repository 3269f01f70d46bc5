"""What a client and the sign-in page agree on: clients, what they ask for, and what they get (OpenID Connect)."""

import re
from typing import Any, Protocol
from urllib.parse import urlsplit

import msgspec

from cellsmono.interfaces.sessions import Session
from cellsmono.interfaces.users import User
from cellsmono.kernel.errors import Invalid

OFFLINE = frozenset({"offline", "offline_access"})
"""Scopes that ask for a refresh token: the word of Cells' clients, and the standard's."""


class OidcClient(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A program that people sign in with.

    ``redirect_uris`` are the addresses that codes may be sent to, compared as they are. ``{site}`` at the beginning is
    the address of this server; ``[3636-3666]`` in the place of a port stands for each of them. A client with a
    ``secret`` has to tell it; one without is a program that can keep none. One with ``full_access`` may do whatever the
    user may, if it asks for that (``interfaces.sessions.FULL_ACCESS``); others are told who somebody is.
    """

    id: str = ""
    name: str = ""
    redirect_uris: tuple[str, ...] = ()
    secret: str = ""
    full_access: bool = False

    def __repr__(self) -> str:
        return f"OidcClient({self.id!r})"


SITE = "{site}"
PORT_RANGE = re.compile(r":\[(\d{1,5})-(\d{1,5})\](?=/|$)")
_DANGEROUS = frozenset({"javascript", "data", "vbscript", "file", "blob", "about", "filesystem"})


def check_redirect_uri(uri: str) -> None:
    """Raise Invalid for what codes must not be sent to."""
    plain = PORT_RANGE.sub(":1", uri.replace(SITE, "https://site.invalid", 1) if uri.startswith(SITE) else uri)
    try:
        parts = urlsplit(plain)
        is_good = bool(parts.scheme) and (parts.scheme not in {"http", "https"} or bool(parts.hostname))
    except ValueError:
        is_good = False
    if not is_good or not plain.isascii() or any(sign <= " " or sign in '"<>\\^`{|}*' for sign in plain):
        raise Invalid(f"{uri!r} is no address that people can be sent back to: it is written scheme://host/path")
    if parts.scheme in _DANGEROUS or "#" in plain or parts.username is not None:
        raise Invalid(f"{uri!r} is no address that people can be sent back to: of that kind they are not safe")


class Wanted(msgspec.Struct, frozen=True):
    """What a client asks the sign-in page for. ``scope`` is separated by spaces.

    ``challenge`` and ``method`` (``S256`` or ``plain``) are those of PKCE (RFC 7636), empty without it.
    """

    client: str
    redirect: str
    scope: str = ""
    nonce: str = ""
    challenge: str = ""
    method: str = ""


class Granted(msgspec.Struct, frozen=True):
    """What comes back for a code. ``since`` is when the user signed in, in seconds since the epoch, UTC."""

    session: Session
    user: User
    nonce: str
    since: float


class IdTokens(Protocol):
    """Signs who somebody is."""

    async def sign(self, claims: dict[str, Any]) -> str:
        """A JWT (RS256) with these claims. Raises Unavailable when the keys can not be read or written."""

    async def list_public_keys(self) -> list[dict[str, Any]]:
        """The public keys (JWK) of all tokens that may still be good, the newest first. Raises as ``sign``."""
