"""Access keys: who signs requests."""

from typing import Protocol

import msgspec

GATEWAY_KEY = "gateway"
"""The access key of requests that bring a token along. It proves nothing, since everybody knows its secret."""


class AccessKey(msgspec.Struct, frozen=True):
    """A key pair. ``created`` is seconds since the epoch, UTC. The secret never appears in logs or listings."""

    access_key: str
    secret: str
    description: str = ""
    created: float = 0.0
    preset: bool = False

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key})"


class UserKey(msgspec.Struct, frozen=True):
    """Whose key signed a request: a user's. ``user`` is the UUID, ``shown`` what may be shown of the access key.

    ``scopes`` narrow down what the key is good for, as those of ``interfaces.tokens.Token``.
    """

    user: str
    login: str
    shown: str
    scopes: tuple[str, ...] = ()


class Signers(Protocol):
    """Whose signatures are good. Never blocks: asked for each request."""

    def find_secret(self, access_key: str) -> str | None:
        """The secret that goes with an access key; None for one that is unknown, revoked, expired or locked out."""

    def is_owner(self, access_key: str) -> bool:
        """Whether an access key is the owner's."""

    def is_token(self, text: str) -> bool:
        """Whether a text is the good token of a user: a secret by itself, unlike the access key of a key pair."""

    def find_user(self, access_key: str) -> UserKey | None:
        """Whose an access key is, if it is a user's. Asked once the signature was found good: that is a use of it."""


class Credentials(Protocol):
    """The owner's key pairs."""

    def find_secret(self, access_key: str) -> str | None:
        """The secret of an active key, None for an unknown or revoked one. Never blocks: asked for each request."""

    async def list_keys(self) -> list[AccessKey]:
        """All active keys, oldest first."""

    async def create_key(self, description: str = "") -> AccessKey:
        """A new random pair (20 and 40 characters), stored before this returns."""

    async def revoke_key(self, access_key: str) -> None:
        """Make a key unusable at once. Raises NotFound; Invalid for one that is preset by the configuration."""
