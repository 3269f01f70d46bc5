"""What stands for a user without a password: personal access tokens and key pairs."""

import enum
import re

import msgspec

from cellsmono.interfaces.permissions import Right
from cellsmono.kernel.errors import Invalid

TOKEN_PREFIX = "cmt_"  # noqa: S105 - what every token begins with, so that scanners for leaked secrets find them

_NODE_SCOPE = re.compile(r"node:([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}):(r|w|rw)")


class TokenKind(enum.StrEnum):
    """PERSONAL: made to be kept. SESSION: of somebody who signed in (see ``interfaces.sessions``)."""

    PERSONAL = "personal"
    SESSION = "session"


class Token(msgspec.Struct, frozen=True):
    """A token of a user, without its secret.

    ``id`` is the part of it that may be shown. ``scopes`` narrow down what it is good for: ``node:UUID:rw`` (or ``r``,
    ``w``) is one node with everything below it; without any it is good for whatever the user may do. Times are seconds
    since the epoch, UTC; ``expires`` and ``last_used`` are 0 for never.
    """

    id: str
    login: str
    description: str = ""
    scopes: tuple[str, ...] = ()
    created: float = 0.0
    expires: float = 0.0
    last_used: float = 0.0
    kind: TokenKind = TokenKind.PERSONAL


class NewToken(msgspec.Struct, frozen=True):
    """A token together with the text that is the token: the only time that it is told."""

    token: Token
    secret: str

    def __repr__(self) -> str:
        return f"NewToken({self.token.id})"


class KeyPair(msgspec.Struct, frozen=True):
    """A key pair of a user, to sign S3 requests with. ``secret`` is empty but when it is made."""

    access_key: str
    login: str
    secret: str = ""
    description: str = ""
    created: float = 0.0

    def __repr__(self) -> str:
        return f"KeyPair({self.access_key})"


class NodeScope(msgspec.Struct, frozen=True):
    """A scope that is one node and everything below it."""

    uuid: str
    rights: Right


def parse_scope(text: str) -> NodeScope:
    """Read ``node:UUID:rw``. Raises Invalid."""
    match = _NODE_SCOPE.fullmatch(text)
    if match is None:
        raise Invalid(f"{text!r} is no scope: it is written node:UUID:r, node:UUID:w or node:UUID:rw", reason="scope")
    return NodeScope(match[1], {"r": Right.READ, "w": Right.WRITE, "rw": Right.READ | Right.WRITE}[match[2]])
