"""Access keys: who signs requests."""

from typing import Protocol

import msgspec


class AccessKey(msgspec.Struct, frozen=True):
    """A key pair. ``created`` is seconds since the epoch, UTC. The secret never appears in logs or listings."""

    access_key: str
    secret: str
    description: str = ""
    created: float = 0.0
    preset: bool = False

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key})"


class Credentials(Protocol):
    """The key pairs that may sign requests."""

    def find_secret(self, access_key: str) -> str | None:
        """The secret of an active key, None for an unknown or revoked one. Never blocks: asked for each request."""

    async def list_keys(self) -> list[AccessKey]:
        """All active keys, oldest first."""

    async def create_key(self, description: str = "") -> AccessKey:
        """A new random pair (20 and 40 characters), stored before this returns."""

    async def revoke_key(self, access_key: str) -> None:
        """Make a key unusable at once. Raises NotFound; Invalid for one that is preset by the configuration."""
