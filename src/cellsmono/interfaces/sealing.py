"""Encryption at rest: the keys of datasources, and how a store of blobs uses them."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import msgspec

from cellsmono.interfaces.node import NodeAttributes
from cellsmono.interfaces.objects import Part, Staged
from cellsmono.kernel.errors import Invalid


class SealWish(msgspec.Struct, frozen=True):
    """That content is to be sealed, whatever the datasource is set to.

    With a ``client_key`` (32 bytes) it is sealed with that one, which is kept nowhere: whoever reads must bring it.
    """

    client_key: bytes = b""

    def __repr__(self) -> str:
        return "SealWish(...)"


@runtime_checkable
class Locked(Protocol):
    """A reader of content that is sealed with a client's key: nothing can be read before it is unlocked."""

    async def unlock(self, client_key: bytes) -> None:
        """Raises Forbidden (reason ``client_key``) for another key than the one that it was sealed with."""


class WrappedKey(msgspec.Struct, frozen=True):
    """A data key, encrypted with a master key: it may be kept anywhere.

    ``id`` and ``master`` name the key and the master key in hex, ``created`` is seconds since the epoch, UTC, and
    ``wrapped`` is base64.
    """

    id: str
    created: float
    master: str
    wrapped: str


class KeyVault(Protocol):
    """The keys of this installation. Its calls read and write small files, so they belong into a thread.

    A *store* is named by the UUID of its root, which stays what it is under every name and in every place.
    """

    def make_key(self, store: str) -> tuple[WrappedKey, bytes]:
        """A fresh data key of 32 bytes for a store; the first one ever comes with a master key."""

    def unwrap(self, store: str, key: WrappedKey) -> bytes:
        """The data key. Raises Unavailable (reason ``key``) without its master key, Corrupt for an altered one."""

    def remember(self, store: str, name: str, keys: Sequence[WrappedKey]) -> None:
        """Keep a copy of these wrapped keys, beside those known before; on the disk when this returns."""

    def recall(self, store: str) -> list[WrappedKey]:
        """The wrapped keys of a store that were remembered, oldest first."""


@runtime_checkable
class Sealing(Protocol):
    """Encrypts and decrypts the blobs whose keys say that they are sealed. A separate ability of an object store.

    Content that is staged for a key that says so (see ``interfaces.node.SEALED``) is encrypted before it is stored
    anywhere; sizes and hashes are always those of the plain content.
    """

    async def open_keys(self, bucket: str, store: str, *, make: bool) -> None:
        """Get ready for a store; with ``make`` it gets a data key if it has none.

        Raises Unavailable (reason ``key``) when the keys that seal it are not at hand, Corrupt when they were altered.
        """

    async def stage_upload_with(self, bucket: str, upload_id: str, parts: Sequence[Part], client_key: bytes) -> Staged:
        """As ``Multipart.stage_upload``, sealed with a client's key."""

    async def cover(self, key: str, attributes: NodeAttributes) -> NodeAttributes:
        """What may lie openly beside a blob: of a sealed one neither its name nor what tells of its content."""

    async def uncover(self, key: str, attributes: NodeAttributes) -> NodeAttributes:
        """What ``cover`` was given; nothing but size and time where that can not be told."""


def no_encryption(name: str) -> Invalid:
    """The error for encryption that is asked of a datasource whose files are plain files."""
    return Invalid(
        f"{name!r} is structured: its files are plain files, which this server does not encrypt. Ask without "
        "encryption, or use a flat bucket.",
        reason="encryption",
        path=name,
    )
