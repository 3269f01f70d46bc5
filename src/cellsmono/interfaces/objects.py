"""The object service: bytes by bucket and key. It knows no tree beyond keys, no users and no SQL of others."""

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
from typing import Protocol, runtime_checkable

import msgspec

from cellsmono.interfaces.node import NO_META, Checksum, Facts, NodeAttributes, NodeMeta


class Capabilities(msgspec.Struct, frozen=True):
    """What a store can do beyond the least, so that callers choose a path instead of catching a surprise.

    ``local``: buckets are folders of this machine, which have paths, times of their own and free space. ``full_times``:
    what stands for a folder's times changes with everything in it, so that comparing them is a full comparison; and it
    costs requests, so that it is done by the schedule alone.
    """

    atomic_replace: bool = True
    server_side_copy: bool = True
    rename_prefix: bool = True
    native_events: bool = False
    folders: bool = True
    attributes: bool = False
    writable: bool = True
    local: bool = True
    full_times: bool = False


class Hasher(Protocol):
    """Anything with hashlib's ``update``. Called in a worker thread, in order, never concurrently for one body."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take the next bytes."""


@runtime_checkable
class SumHasher(Hasher, Protocol):
    """A hasher whose sums are of use to a storage that must tell them to somebody else.

    ``sums`` names those that it computes of all that it takes (``SHA256``, ``CRC32``).
    """

    sums: frozenset[str]

    def sum_of(self, name: str) -> bytes:
        """One of them, so far."""

    def lanes(self) -> Sequence[Hasher]:
        """Hashers that together do what this one does, and may each work in a thread of its own."""


class ObjectInfo(msgspec.Struct, frozen=True):
    """What the storage says about one object or folder."""

    key: str
    facts: Facts


class FolderMade(msgspec.Struct, frozen=True):
    """A folder that came into being on the way to an object: its key (ending in ``/``), marker UUID and facts."""

    key: str
    uuid: str
    facts: Facts


class Staged(msgspec.Struct, frozen=True):
    """Bytes that are stored (durable, as configured) but not yet visible under any key. Commit or discard it once.

    ``token`` is the store's own handle. ``key``: the only one at which they can be committed; empty: any. ``seal``: the
    number that the blob must bear because these bytes are sealed under it (see ``interfaces.node.SEALED``); 0: they are
    plain, and so must be the blob's name.
    """

    bucket: str
    size: int
    token: str
    key: str = ""
    seal: int = 0


class Target(msgspec.Struct, frozen=True):
    """What is known about an object before its bytes are stored: a store that can not rename needs it then.

    ``path`` is as in ``NodeAttributes``. ``is_free``: the index knows of no folder at this key, which spares a store of
    prefixes from asking. ``client_key`` seals the bytes, where the key's form says that they are sealed (see
    ``interfaces.sealing``).
    """

    key: str
    meta: NodeMeta = NO_META
    mtime_ns: int | None = None
    is_free: bool = False
    path: str = ""
    client_key: bytes = b""

    def __repr__(self) -> str:
        return f"Target({self.key!r})"


class Committed(msgspec.Struct, frozen=True):
    """The result of making staged bytes visible."""

    info: ObjectInfo
    folders: tuple[FolderMade, ...] = ()


class Entry(msgspec.Struct, gc=False):
    """One name in a folder listing. ``name`` is a key segment, with ``/`` for a folder."""

    name: str
    facts: Facts


class Skipped(msgspec.Struct, frozen=True):
    """An entry that is not served, and why: symlink, fifo, socket, device, unreadable, unnameable, ..."""

    key: str
    reason: str


class Listing(msgspec.Struct):
    """One folder as the storage has it now.

    ``complete`` is False when the folder could not be read to its end: then nothing may be concluded from a name's
    absence. ``missing`` says that the folder itself is gone. ``mtime_ns`` and ``ctime_ns`` were taken before the
    listing; ``stable`` says that they were the same after it and lie far enough in the past that a later change must
    show in them. ``fingerprint`` covers every entry's name, size, mtime and inode. ``entries`` is None when the
    fingerprint equals the expected one; ``count`` is how many there are all the same. ``marker`` is the UUID in the
    folder's marker file, empty when there is none or it is not a UUID.
    """

    key: str
    facts: Facts
    mtime_ns: int = 0
    ctime_ns: int = 0
    fingerprint: bytes = b""
    entries: list[Entry] | None = None
    count: int = 0
    marker: str = ""
    skipped: tuple[Skipped, ...] = ()
    complete: bool = True
    missing: bool = False
    stable: bool = False


class ObjectReader(Protocol):
    """An open object: a snapshot of one version, also when the key is replaced meanwhile. Close it."""

    info: ObjectInfo

    async def read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer only at the end of the file. Raises Corrupt on an I/O error."""

    def fileno(self) -> int | None:
        """A file descriptor for ``sendfile``, None when the store has none."""

    def close(self) -> None:
        """Release it; may be called twice."""


class ObjectStore(Protocol):
    """One object service: all buckets (child folders) of one parent folder, or of one S3 endpoint.

    Keys follow ``interfaces.paths``. A key that the storage can not express raises Invalid (reason ``key``) and
    leaves nothing behind; reserved names (marker and work folder) raise Forbidden (reason ``reserved``). A full disk
    raises QuotaExceeded (reason ``disk_full``), a refused access Forbidden (reason ``permission``), a vanished root
    Unavailable, an I/O error Unavailable (reason ``io``).
    """

    name: str

    def capabilities(self, bucket: str) -> Capabilities:
        """What this bucket can do."""

    def check_key(self, bucket: str, key: str) -> None:
        """Raise what writing this key would raise for its form alone (Invalid, TooLarge, Forbidden); never blocks."""

    async def stat(self, bucket: str, key: str) -> ObjectInfo:
        """Facts of an object or folder now. Raises NotFound."""

    async def open(self, bucket: str, key: str) -> ObjectReader:
        """Open an object for reading. Raises NotFound."""

    async def stage(
        self,
        bucket: str,
        body: AsyncIterable[bytes],
        hashers: Sequence[Hasher] = (),
        size: int | None = None,
        target: Target | None = None,
    ) -> Staged:
        """Store a body in a temporary place. On any error, also one raised by ``body``, nothing is left behind.

        ``size`` is a hint for preallocation. Memory does not grow with the body. With a ``target`` the bytes may be
        committed at its key only.
        """

    async def stage_copy(self, bucket: str, source_bucket: str, source: str) -> tuple[Staged, ObjectInfo]:
        """Stage a copy of another object of this service without moving bytes through the process, where possible.

        Returns the facts of exactly the version that was copied. Raises NotFound.
        """

    async def commit(
        self,
        staged: Staged,
        key: str,
        *,
        mtime_ns: int | None = None,
        attributes: Callable[[Facts], NodeAttributes] | None = None,
    ) -> Committed:
        """Make staged bytes visible at ``key`` in one atomic step, replacing what was there; make missing folders.

        ``attributes`` is asked for what to mirror beside the file, given its final facts. Raises Conflict (reason
        ``parent_is_object`` or ``is_folder``) when a file stands where a folder is needed or the other way round; the
        staged bytes are discarded on every error.
        """

    async def discard(self, staged: Staged) -> None:
        """Throw staged bytes away. Never raises for what is gone already."""

    async def make_folder(self, bucket: str, key: str) -> tuple[FolderMade, ...]:
        """Make a folder and its missing parents; returns those that were made. Raises Conflict over a file."""

    async def delete(self, bucket: str, key: str) -> bool:
        """Remove one object; False when there was none. Durable when this returns."""

    async def delete_many(self, bucket: str, keys: Sequence[str]) -> list[bool | Exception]:
        """Remove many objects in one go; per key what ``delete`` returns, or the error that it would raise."""

    async def set_mtime(self, bucket: str, key: str, mtime_ns: int) -> ObjectInfo:
        """Change an object's time of modification, nothing else. Raises NotFound."""

    async def remove_folder(self, bucket: str, key: str) -> bool:
        """Remove a folder that holds nothing but its marker; False when something else is in it or it is gone."""

    async def move(self, bucket: str, source: str, target: str) -> Committed:
        """Rename an object or a whole folder within a bucket, in one step; a file at ``target`` is replaced.

        Raises NotFound, Conflict (reasons as ``commit``; ``exists`` when a folder is at ``target``).
        """

    async def set_attributes(self, bucket: str, key: str, attributes: NodeAttributes) -> None:
        """Mirror attributes beside an existing object; silently nothing where the storage can not."""

    async def read_attributes(self, bucket: str, keys: Sequence[str]) -> list[NodeAttributes | None]:
        """What is mirrored beside these objects, None where there is nothing (or nothing valid). One hop for all."""

    async def create_bucket(self, bucket: str) -> None:
        """Make an empty bucket. Raises AlreadyExists."""

    async def remove_bucket(self, bucket: str) -> None:
        """Remove a bucket that is empty but for markers and the work folder. Raises Conflict when it is not."""

    async def has_bucket(self, bucket: str) -> bool:
        """Whether the bucket's folder is there (an unmounted disk: not)."""

    async def used_space(self, bucket: str) -> tuple[int, int]:
        """Free and total bytes of the file system below a bucket."""

    async def close(self) -> None:
        """Release threads and descriptors."""


class FolderScanner(Protocol):
    """How the synchronizer looks at a bucket. A separate ability: stores without folders have another one."""

    async def scan(self, bucket: str, folders: Sequence[tuple[str, bytes]]) -> list[Listing]:
        """List these folders now, each with the fingerprint it is expected to have (empty: none). One hop for all."""

    async def stat_folders(self, bucket: str, folders: Sequence[str]) -> list[tuple[int, int] | None]:
        """(mtime_ns, ctime_ns) of each folder, or numbers that change with its entries where there are no times.

        None: gone or no folder; (0, 0): can not be told.
        """

    async def stat_entries(self, bucket: str, keys: Sequence[str]) -> list[Entry | Skipped | None]:
        """What stands at these keys now: a key without ``/`` may turn out to be a folder and the other way round

        (``Entry.name`` is then the last segment of what is there). None: nothing. Never follows what the scan skips.
        """

    async def read_marker(self, bucket: str, folder: str) -> str:
        """The UUID in the folder's marker file, empty when there is none or it is not a UUID."""

    async def write_markers(self, bucket: str, markers: Sequence[tuple[str, str]]) -> list[tuple[int, int] | None]:
        """Write the markers of these (folder, UUID), keeping each folder's own mtime. One hop for all.

        Half a marker is never read as one. Returns the folder's (mtime_ns, ctime_ns) then, None where it can not be
        written.
        """

    async def hash_object(self, bucket: str, key: str) -> tuple[Facts, str] | None:
        """MD5 of an object in hex and the facts it had before and after; None when it changed meanwhile or is gone."""

    def key_of(self, bucket: str, path: bytes) -> str | None:
        """The key of an absolute path, without a trailing ``/``; None when it is not inside or is hidden."""

    def root(self, bucket: str) -> str:
        """The absolute path of a bucket's folder, for the watcher."""


@runtime_checkable
class Holder(Protocol):
    """Keeps a bucket for one process. A separate ability of an object store."""

    async def hold_bucket(self, bucket: str) -> None:
        """Hold a bucket until it is forgotten or the store is closed. Raises Locked when somebody else holds it."""

    def describe_loss(self, bucket: str) -> str:
        """Why a bucket that was held is not held safely any more, and what to do; empty while it is. Never blocks."""


class Part(msgspec.Struct, frozen=True):
    """One uploaded part."""

    number: int
    size: int
    etag: str
    modified_ns: int
    checksum: Checksum | None = None


class Upload(msgspec.Struct, frozen=True):
    """A multipart upload in progress. ``initiated_ns`` counts from the epoch; ``context`` is the gateway's own data."""

    bucket: str
    key: str
    upload_id: str
    initiated_ns: int
    context: bytes = b""


class PartDigest(Protocol):
    """What a part's bytes are hashed with; asked for the results once all bytes were taken."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Take the next bytes."""

    def verify(self) -> None:
        """Raise Invalid when the bytes are not the ones that were announced."""

    def etag(self) -> str:
        """The part's ETag: MD5 in hex."""

    def checksum(self) -> Checksum | None:
        """The part's additional checksum, if one is computed."""


class Multipart(Protocol):
    """Uploads in parts. A separate ability of an object store; survives a restart of the process."""

    async def create_upload(self, bucket: str, key: str, context: bytes = b"", target: Target | None = None) -> Upload:
        """Begin an upload.

        With a ``target`` the parts may be committed at its key only, and must have the sizes that S3 asks for.
        ``key`` is kept for whoever lists uploads. It need not be one that can be stored here, as long as the bytes are
        committed under another one; whether it can is asked with ``check_key``. Raises Invalid for one that ends in
        ``/``.
        """

    async def read_upload(self, bucket: str, upload_id: str) -> Upload:
        """One upload. Raises NotFound (reason ``upload``)."""

    async def list_uploads(
        self, bucket: str, prefix: str = "", after_key: str = "", after_id: str = "", limit: int = 1000
    ) -> list[Upload]:
        """Uploads in order of key and then of initiation, after the given pair."""

    async def put_part(
        self,
        bucket: str,
        upload_id: str,
        number: int,
        body: AsyncIterable[bytes],
        digest: PartDigest,
        size: int | None = None,
    ) -> Part:
        """Store (or replace) a part; durable when this returns. A failed body leaves an older part whole."""

    async def list_parts(self, bucket: str, upload_id: str, after: int = 0, limit: int = 1000) -> list[Part]:
        """Parts by number, from the first one greater than ``after``."""

    def read_part(self, bucket: str, upload_id: str, part: Part) -> AsyncGenerator[bytes, None]:
        """The bytes of a part that was stored. Raises Invalid as ``stage_upload`` does, Corrupt when some were lost."""

    async def stage_upload(self, bucket: str, upload_id: str, parts: Sequence[Part]) -> Staged:
        """Join these parts, in this order, into staged bytes, without a second copy where the layout allows.

        The upload stays, so that a failed commit can be repeated; ``finish_upload`` ends it.
        """

    async def finish_upload(self, bucket: str, upload_id: str) -> None:
        """Forget the upload and its parts: after a commit, or to abort. Raises NotFound when there is none."""

    async def remove_stale_uploads(self, older_than_ns: int) -> int:
        """Abort uploads begun before this time, and remove parts and temporary files that belong to none."""


Body = AsyncIterable[bytes]
