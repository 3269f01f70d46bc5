"""What an administrator is told about keys, and what is asked of them."""

import msgspec

from cellsmono.interfaces.sealing import WrappedKey


class MasterKeyInfo(msgspec.Struct, frozen=True):
    """A master key, without its secret. ``created`` is seconds since the epoch, UTC."""

    id: str
    created: float
    is_current: bool


class StoreInfo(msgspec.Struct, frozen=True):
    """The data keys of one store, oldest first: the last one seals what is new.

    ``datasource`` is the name that it was last seen under; ``is_served``: it is open now under that name.
    """

    store: str
    datasource: str
    keys: tuple[WrappedKey, ...]
    is_served: bool = False


class EncryptionInfo(msgspec.Struct, frozen=True):
    """All keys of an installation."""

    masters: tuple[MasterKeyInfo, ...]
    stores: tuple[StoreInfo, ...]


class RotationReport(msgspec.Struct):
    """What a rotation did.

    ``key`` is the id of the data key that seals what is new. Of ``blobs`` that were looked at, ``rewritten`` (``bytes``
    of content) are sealed with it now that were not before, ``plain`` ones are not sealed at all, ``foreign`` ones are
    sealed with a client's own key, and ``failed`` ones (the first 1,000 are named, with the reason) are as they were.
    """

    datasource: str
    key: str = ""
    blobs: int = 0
    rewritten: int = 0
    bytes: int = 0
    plain: int = 0
    foreign: int = 0
    failed: int = 0
    failures: list[tuple[str, str]] = []
    seconds: float = 0.0


class MasterSecret(msgspec.Struct, frozen=True):
    """A master key with its 32 secret bytes, on its way into or out of an export."""

    created: float
    secret: bytes

    def __repr__(self) -> str:
        return "MasterSecret(...)"


class StoredKeys(msgspec.Struct, frozen=True):
    """The wrapped data keys of one store. ``name`` is the datasource that it was last seen as."""

    store: str
    name: str
    keys: list[WrappedKey]


class KeyBundle(msgspec.Struct, frozen=True):
    """Everything that it takes to read what is sealed."""

    masters: list[MasterSecret]
    stores: list[StoredKeys]


class ImportReport(msgspec.Struct, frozen=True):
    """What an import brought that was not there; ``opened`` are datasources that could be opened now."""

    masters: int
    keys: int
    opened: tuple[str, ...] = ()
