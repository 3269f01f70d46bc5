"""Tokens that requests bring along by themselves, without a signature (``Authorization: Bearer``)."""

from typing import Protocol

import msgspec

from cellsmono.interfaces.tokens import Token
from cellsmono.interfaces.users import User


class Bearer(msgspec.Struct, frozen=True):
    """Who brings a token, and which one it is."""

    user: User
    token: Token


class Bearers(Protocol):
    """Whose tokens are good. Never blocks: asked for each request."""

    def find_bearer(self, text: str) -> Bearer | None:
        """Who may come in with a token; to find somebody is a use of it.

        None for a text that is none, for a token that is unknown, revoked or expired, and for a user who is locked out:
        nobody can tell which. The access key of a key pair is no token.
        """
