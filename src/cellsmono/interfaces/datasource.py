"""A datasource: its configuration, and the triple as one."""

import enum
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from typing import Annotated, Protocol

import msgspec

from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.locks import LockRule, ObjectLock
from cellsmono.interfaces.node import Checksum, FolderKind, Node, NodeMeta
from cellsmono.interfaces.objects import Hasher, ObjectReader, Part, PartDigest, Upload
from cellsmono.interfaces.sealing import SealWish
from cellsmono.interfaces.sync import Syncer
from cellsmono.interfaces.version import Removal, Version, Versioning
from cellsmono.interfaces.version_policy import DeletedStrategy, VersionPolicy, parse_periods
from cellsmono.kernel.text import HIDDEN


class Format(enum.StrEnum):
    """How the tree is laid out on the storage.

    STRUCTURED: as plain files and folders, followed when others change them. FLAT: as blobs named by UUID, names and
    folders in the index alone. INTERNAL: as FLAT, and changes are not published.
    """

    STRUCTURED = "structured"
    FLAT = "flat"
    INTERNAL = "internal"


class Storage(enum.StrEnum):
    """Where the bytes lie: in a folder of this machine, or in a bucket of an S3-compatible server."""

    LOCAL = "local"
    S3 = "s3"


class Encryption(enum.StrEnum):
    """Whether new content is encrypted at rest: not, or with AES-256-GCM under keys of this installation."""

    NONE = "none"
    AES256 = "aes256"


class Signature(enum.StrEnum):
    """How requests to an S3 server are signed: version 4, or the older version 2."""

    S3V4 = "s3v4"
    S3 = "s3"


class Symlinks(enum.StrEnum):
    """What happens to symbolic links: not served at all, or followed while they stay beneath the datasource."""

    IGNORE = "ignore"
    INSIDE = "inside"


class Durability(enum.StrEnum):
    """When a write is acknowledged: after file, folder and index reached the disk, or after the kernel took them."""

    FSYNC = "fsync"
    RELAXED = "relaxed"


class Markers(enum.StrEnum):
    """Whether folder UUIDs are kept in ``.pydio`` files, or in the index alone (then a lost index means new UUIDs)."""

    FILE = "file"
    NONE = "none"


class Watch(enum.StrEnum):
    """How changes behind the server's back are noticed: inotify (polling as fall-back), polling alone, not at all."""

    AUTO = "auto"
    POLL = "poll"
    OFF = "off"


Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]


SECRET_NAMES = ("secret_key", "notify_token")
"""Keys of a datasource that are never shown."""


class DatasourceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """The configuration of one datasource (a ``[[datasource]]`` table, or a row of the configuration store).

    ``name`` is also the S3 bucket name. ``folder`` is the absolute path of the folder that holds the tree.
    ``reconcile_seconds`` is how often folders are compared by their times; ``full_reconcile_hours`` how often every
    file is (0: never). ``max_delete_share`` and ``max_delete_nodes`` are the mass-deletion guard: a scan that would
    delete more than this share (0..1) *and* more than this number of nodes is held. ``hash_content`` fills in missing
    content hashes in the background. ``anonymous`` lets unsigned S3 requests read (``read``) or read and write
    (``write``). ``snapshot_hours`` is how often the index is dumped (0: never, -1: as suits the format),
    ``snapshot_keep_days`` how long such a snapshot is kept.

    With ``versions`` content that is replaced or deleted is kept from the beginning. ``version_periods`` (see
    ``parse_periods``) and the other ``version_`` keys are the policy of what is kept of it, see ``VersionPolicy``.

    With ``storage`` S3 there is no folder. The tree lies in ``bucket`` below ``prefix`` on the server ``endpoint`` (a
    URL; empty: AWS). ``secret_key_file`` names a file that holds the secret; without any key they come from
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. ``storage_class`` and ``object_tags`` (``key=value&key=value``) go
    with every object. ``sign_payload`` signs bodies also over TLS, ``checksums`` sends a CRC32 along with each.
    ``ca_file`` holds the certificates of the authorities that are trusted instead of the system's. ``request_seconds``
    is how long one operation on the server may take, with all its repetitions. ``notify_token`` (or a file that holds
    it) lets the server tell of changes in the bucket.

    ``migrated_from`` is format and place that a migrated datasource was at: as long as a configuration file still
    names those, the place of the configuration store is what counts.
    """

    name: Name
    folder: str = ""
    format: Format = Format.STRUCTURED
    symlinks: Symlinks = Symlinks.IGNORE
    durability: Durability = Durability.FSYNC
    markers: Markers = Markers.FILE
    watch: Watch = Watch.AUTO
    reconcile_seconds: float = 30.0
    full_reconcile_hours: float = 24.0
    max_delete_share: float = 0.5
    max_delete_nodes: int = 1000
    hash_content: bool = True
    anonymous: str = ""
    snapshot_hours: float = -1.0
    snapshot_keep_days: float = 10.0
    versions: bool = False
    version_periods: str = ""
    version_max_size: int = 0
    version_max_total: int = 0
    version_ignore_larger: int = 0
    version_deleted: DeletedStrategy = DeletedStrategy.KEEP_ALL
    created: float = 0.0
    storage: Storage = Storage.LOCAL
    endpoint: str = ""
    region: str = "us-east-1"
    bucket: str = ""
    prefix: str = ""
    path_style: bool = True
    access_key: str = ""
    secret_key: str = ""
    secret_key_file: str = ""
    storage_class: str = ""
    object_tags: str = ""
    read_only: bool = False
    encryption: Encryption = Encryption.NONE
    signature: Signature = Signature.S3V4
    sign_payload: bool = False
    checksums: bool = True
    verify_tls: bool = True
    ca_file: str = ""
    request_seconds: float = 60.0
    notify_token: str = ""
    notify_token_file: str = ""
    migrated_from: str = ""

    def __repr__(self) -> str:
        return f"DatasourceConfig({self.name}, {self.place})"

    @property
    def place(self) -> str:
        """Where the tree lies, for people: the folder, or bucket and prefix with the server."""
        if self.storage is Storage.LOCAL:
            return self.folder
        return f"s3://{self.bucket}/{self.prefix} on {self.endpoint or 'AWS'}"

    @property
    def version_policy(self) -> VersionPolicy:
        """What is kept of old versions."""
        return VersionPolicy(
            parse_periods(self.version_periods),
            self.version_max_size,
            self.version_max_total,
            self.version_ignore_larger,
            self.version_deleted,
        )

    def without_secrets(self) -> "DatasourceConfig":
        """What may be shown."""
        hidden = {name: HIDDEN for name in SECRET_NAMES if getattr(self, name)}
        return msgspec.structs.replace(self, **hidden) if hidden else self


class ContentDigest(Protocol):
    """What a body is hashed with while it is stored. Always computes at least the MD5."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take the next bytes."""

    def verify(self) -> None:
        """Raise Invalid (reason ``bad_digest`` or ``checksum``) when the bytes are not the ones announced."""

    def etag(self) -> str:
        """The ETag: MD5 in hex."""

    def checksum(self) -> Checksum | None:
        """The additional checksum, if one is computed."""


class Conditions(msgspec.Struct, frozen=True):
    """What must hold for a write: ETags without quotes (``*``: any), checked at the moment of the commit."""

    if_match: str = ""
    if_none_match: str = ""


NO_CONDITIONS = Conditions()


class WriteOptions(msgspec.Struct, frozen=True):
    """How to store a leaf. ``mtime_ns`` None means now. ``size`` is the announced length, None when not known.

    ``seal`` asks for encryption; None: as the datasource is set. One that can not raises Invalid (reason
    ``encryption``).
    """

    meta: NodeMeta = NodeMeta()
    mtime_ns: int | None = None
    size: int | None = None
    conditions: Conditions = NO_CONDITIONS
    seal: SealWish | None = None


class CopyOptions(msgspec.Struct, frozen=True):
    """How to copy. ``meta`` None copies the source's, ``mtime_ns`` None keeps the source's mtime.

    ``source_etag`` pins the content to be copied (empty: any); other content raises PreconditionFailed (reason
    ``source_changed``). ``source_version`` is the id of the version to be copied, None for the current one. ``seal`` is
    as in ``WriteOptions``; a copy of encrypted content is encrypted in any case, and a copy of a leaf to itself
    encrypts it, if it is to be and is not yet.
    """

    meta: NodeMeta | None = None
    mtime_ns: int | None = None
    conditions: Conditions = NO_CONDITIONS
    source_etag: str = ""
    source_version: str | None = None
    seal: SealWish | None = None


class OpenNode(msgspec.Struct, frozen=True):
    """A leaf opened for reading: ``node`` describes exactly the version that ``reader`` reads. Close the reader."""

    node: Node
    reader: ObjectReader


class NodeStore(Protocol):
    """One datasource as gateways and the router see it: every change goes to the storage and the index together.

    Paths follow ``interfaces.paths``; which ones a datasource can hold depends on its format. An acknowledged change is
    on the storage and in the index, as durable as configured. Errors are those of ``ObjectStore`` plus NotFound,
    PreconditionFailed (reason ``if_match``, ``if_none_match``) and Conflict.

    Where versioning is enabled (``interfaces.version``), writing and deleting keep what was there as a noncurrent
    version, and new content gets a version id. While it is suspended, only the null version is replaced. Metadata
    belongs to its version and is changed in place.
    """

    config: DatasourceConfig
    index: NodeIndex

    @property
    def can_seal(self) -> bool:
        """Whether content can be encrypted at rest."""

    @property
    def sync(self) -> Syncer | None:
        """The synchronizer, None where nobody else may change the storage."""

    @property
    def versioning(self) -> Versioning:
        """Whether versions are kept."""

    async def set_versioning(self, versioning: Versioning) -> None:
        """Keep versions from now on, or no more new ones. Raises Conflict (reason ``versioning``) where that can not
        be.

        OFF can not be asked for: what was kept once stays a version. Where object lock is on nothing can be changed.
        """

    async def set_object_lock(self, rule: LockRule) -> None:
        """Turn object lock on for good, or give new versions another rule.

        Raises Conflict (reason ``versioning``) where versions are not kept, or locks can not be.
        """

    async def update_lock(
        self, path: str, version: str | None, change: Callable[[ObjectLock | None], ObjectLock]
    ) -> Node:
        """Replace the lock of one version (None: the current one) by what ``change`` makes of it or raises.

        Nothing else changes a lock. Raises NotFound (reason ``version``), Invalid for a marker (``marker``) or where
        object lock is off (``object_lock``).
        """

    async def read_version(self, path: str, version: str) -> Version:
        """One version of a key by its id. Raises NotFound (reason ``version``)."""

    async def open_version(self, path: str, version: str) -> OpenNode:
        """Open the content of one version. Raises NotFound (reason ``version``), Invalid for a marker (``marker``)."""

    async def delete_version(
        self, path: str, version: str, *, bypass: bool = False, only_noncurrent: bool = False
    ) -> Version:
        """Remove one version for good, also a delete marker, and return what it was.

        When it was what the key shows, the next newest takes its place; with ``only_noncurrent`` content that a key
        shows raises PreconditionFailed (reason ``current``) instead. Raises NotFound (reason ``version``), and
        Forbidden (reason ``locked``) for a locked version; ``bypass`` overrules a retention in GOVERNANCE mode.
        """

    async def update_version_meta(self, path: str, version: str, change: Callable[[NodeMeta], NodeMeta]) -> Node:
        """``update_meta`` for one version. Raises NotFound (``version``), Invalid for a marker (``marker``)."""

    async def read_node(self, path: str) -> Node:
        """The node, checked against the storage: a change behind the server's back is carried over first."""

    async def open_node(self, path: str) -> OpenNode:
        """Open a leaf. Raises NotFound (a folder has no content)."""

    async def read_content(self, node: Node, take: Callable[[bytes], Awaitable[None]]) -> bool:
        """Give the whole content that this node of the index tells of to ``take``, piece by piece, and nothing else.

        False when there is other content by now, also when it was replaced meanwhile; what was taken is then of no use.
        Raises Corrupt when the content is not on the storage as it was written.
        """

    async def put_node(
        self,
        path: str,
        body: AsyncIterable[bytes],
        digest: ContentDigest,
        options: WriteOptions = WriteOptions(),
    ) -> Node:
        """Store a body as the leaf ``path``, replacing an older one under the same UUID; missing folders are made.

        ``digest.verify()`` is called before anything becomes visible. On an error nothing changes.
        """

    async def create_folder(self, path: str, kind: FolderKind = FolderKind.FOUND, meta: NodeMeta | None = None) -> Node:
        """Make a folder; one that exists gets the kind when that says more than before. Raises Conflict over a file."""

    async def copy_node(self, source: str, path: str, options: CopyOptions = CopyOptions()) -> Node:
        """Copy a leaf within the datasource."""

    async def move_node(self, source: str, path: str) -> Node:
        """Move or rename a leaf or a whole folder in one step, keeping every UUID."""

    async def delete_node(self, path: str, conditions: Conditions = NO_CONDITIONS) -> bool:
        """Delete a leaf, or an empty folder, or the marker of one; False when there was nothing.

        Folders that were only implied by the deleted key and are empty now go with it. Raises Conflict (reason
        ``not_empty``) for a folder that is not empty and no marker.
        """

    async def remove_node(self, path: str, conditions: Conditions = NO_CONDITIONS) -> Removal:
        """``delete_node``, and tell of the delete marker that stands in its place."""

    async def delete_nodes(self, paths: Sequence[str]) -> list[Exception | str | None]:
        """Delete many at once.

        Per path: None (gone now, also if it was not there), the id of its delete marker, or what went wrong.
        """

    async def update_meta(self, path: str, change: Callable[[NodeMeta], NodeMeta]) -> Node:
        """Replace the metadata of a leaf or marker folder by what ``change`` makes of the present one, in one step.

        ``change`` must not block. Raises NotFound, and Conflict (reason ``not_marker``) for any other folder.
        """

    async def create_upload(self, path: str, context: bytes, options: WriteOptions | None = None) -> Upload:
        """Begin a multipart upload; ``context`` is kept for the gateway.

        With the ``options`` that it will be completed with, a storage that takes metadata at the beginning gets it.
        """

    async def read_upload(self, upload_id: str) -> Upload:
        """One upload. Raises NotFound (reason ``upload``)."""

    async def list_uploads(self, prefix: str, after_key: str, after_id: str, limit: int) -> list[Upload]:
        """Uploads in order of key and then of initiation."""

    async def put_part(
        self, upload_id: str, number: int, body: AsyncIterable[bytes], digest: PartDigest, size: int | None
    ) -> Part:
        """Store one part."""

    async def list_parts(self, upload_id: str, after: int, limit: int) -> list[Part]:
        """Parts by number."""

    async def complete_upload(self, upload_id: str, parts: Sequence[Part], etag: str, options: WriteOptions) -> Node:
        """Join the parts into the leaf, and end the upload. ``etag`` is the ETag that the leaf gets."""

    async def abort_upload(self, upload_id: str) -> None:
        """Forget an upload and its parts. Raises NotFound."""


__all__ = [
    "NO_CONDITIONS",
    "Conditions",
    "ContentDigest",
    "CopyOptions",
    "DatasourceConfig",
    "Durability",
    "Encryption",
    "Format",
    "Hasher",
    "Markers",
    "NodeStore",
    "OpenNode",
    "Signature",
    "Storage",
    "Symlinks",
    "Watch",
    "WriteOptions",
]
