"""Exporting: the tree of a snapshot written as plain files, from the snapshot and the blobs alone.

It needs no server, no data folder and no index: this is how everybody gets their files back whatever became of the
rest. Every file is compared with what the snapshot says about it; one that differs is written all the same, and named.
What is mirrored beside the files of a structured datasource is mirrored here, too, so the result can be served as one.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import msgspec

from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.attributes import write_attributes
from cellsmono.datasource.objects.beneath import LIST, open_beneath
from cellsmono.datasource.objects.failures import explain
from cellsmono.datasource.objects.names import WORK_FOLDER
from cellsmono.datasource.snapshots.dump import Note, ignore_progress
from cellsmono.datasource.snapshots.export_versions import Names, VersionExport
from cellsmono.datasource.snapshots.load import remove_leftovers, unpack_snapshot
from cellsmono.datasource.snapshots.plain_names import make_plain
from cellsmono.interfaces.node import Node, NodeAttributes
from cellsmono.interfaces.objects import ObjectReader, ObjectStore
from cellsmono.interfaces.paths import name_of
from cellsmono.interfaces.snapshots import ExportReport, SnapshotHeader, SnapshotProgress
from cellsmono.kernel.errors import Conflict, Corrupt, Forbidden, Invalid, NotFound

LISTED = 1000
_PAGE = 1000
_PIECE = 1024 * 1024
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class Blobs(msgspec.Struct, frozen=True):
    """Where the bytes of leaves lie: the object of each leaf, by its key."""

    objects: ObjectStore
    bucket: str
    key_of: Callable[[Node], str]


async def export_snapshot(
    pieces: AsyncGenerator[bytes, None],
    name: str,
    blobs: Blobs,
    target: Path,
    note: Note = ignore_progress,
    *,
    versions: bool = False,
) -> ExportReport:
    """Write the tree of a snapshot into a folder that is empty or missing; on the disk when this returns.

    With ``versions`` noncurrent versions are written, too, beside what their keys show.

    Raises Conflict for a folder that holds something, Invalid for the snapshot of a structured datasource (its files
    are plain ones already), Corrupt for one that can not be used. Blobs that are missing do not end it.
    """
    scratch = await asyncio.to_thread(_make_target, target) / "index.db"
    try:
        header, path = await unpack_snapshot(pieces, name, scratch, _refuse_structured, note)
        index = await SqliteIndex.open(path, datasource=header.datasource, durability="relaxed")
        try:
            violations = await index.verify()
            if violations:
                raise Corrupt(f"The snapshot {name!r} contradicts itself: {violations[0]}", reason="snapshot")
            work = _Export(index, blobs, target, header, note)
            await work.run(versions=versions)
        finally:
            await index.close()
    finally:
        await asyncio.to_thread(_remove_scratch, scratch)
    await asyncio.to_thread(os.sync)
    return work.report()


def _make_target(target: Path) -> Path:
    """The folder for the unpacked index in it; no key is written under that name."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise Conflict(f"{target} holds something already; export into a new folder.", reason="not_empty")
        work = target / WORK_FOLDER
        work.mkdir(mode=0o700)
    except OSError as error:
        raise explain(error, str(target), writing=True) from error
    return work


def _remove_scratch(scratch: Path) -> None:
    remove_leftovers(scratch)
    scratch.parent.rmdir()


def _refuse_structured(header: SnapshotHeader, name: str) -> None:
    if header.format == "structured":
        raise Invalid(
            f"The snapshot {name!r} is of a structured datasource: its files bear their own names in its folder or "
            "bucket already.",
            reason="format",
        )


class _Export:
    """One export under way."""

    def __init__(self, index: SqliteIndex, blobs: Blobs, target: Path, header: SnapshotHeader, note: Note) -> None:
        self._index = index
        self._blobs = blobs
        self._target = target
        self._header = header
        self._note = note
        self._files = self._folders = self._bytes = 0
        self._versions = self._versions_left = 0
        self._made: dict[str, Names] = {}
        self._problems: dict[str, list[str]] = {"missing": [], "differing": []}
        self._renamed: list[tuple[str, str]] = []
        self._counts = {"missing": 0, "differing": 0, "renamed": 0}

    def report(self) -> ExportReport:
        """What was done."""
        return ExportReport(
            target=str(self._target),
            snapshot=self._header,
            folders=self._folders,
            files=self._files,
            bytes=self._bytes,
            versions=self._versions,
            versions_left=self._versions_left,
            missing=tuple(self._problems["missing"]),
            missing_total=self._counts["missing"],
            differing=tuple(self._problems["differing"]),
            differing_total=self._counts["differing"],
            renamed=tuple(self._renamed),
            renamed_total=self._counts["renamed"],
        )

    async def run(self, *, versions: bool) -> None:
        """Write everything, folder by folder."""
        root = os.open(self._target, LIST)
        try:
            await self._write_tree(root, remembers=versions)
            if not versions:
                self._versions_left = await self._index.count_contents()
                return
            work = VersionExport(self._index, root, self._made, self._write_version)
            await work.run()
            self._versions = work.written
            self._folders += work.folders
        finally:
            os.close(root)

    async def _write_tree(self, root: int, *, remembers: bool) -> None:
        pending: list[tuple[str, Names]] = [("", ())]
        while pending:
            folder, names = pending.pop()
            if remembers:
                self._made[folder] = names
            descriptor = open_beneath(root, names, LIST)
            try:
                found = await self._fill(folder, descriptor, names)
                pending += [(path, (*names, made)) for path, made in reversed(found)]
            finally:
                os.close(descriptor)

    async def _fill(self, folder: str, descriptor: int, names: Names) -> list[tuple[str, bytes]]:
        """Write what is right in a folder; the folders in it, and what they are called."""
        made, after = [], ""
        while page := await self._index.list_children(folder, after, _PAGE):
            beside = await self._index.read_nodes([node.path + "/" for node in page if not node.is_folder])
            taken = {node.path for node in beside if node is not None}
            for node in page:
                # A folder keeps its name, and with it the names of all below; the file beside it gets another.
                is_taken = node.path + "/" in taken
                written = await self._write(node, descriptor, make_plain(name_of(node.path), node.uuid, other=is_taken))
                if written is not None and os.fsdecode(written) != name_of(node.path).removesuffix("/"):
                    self._note_renamed(node.path, b"/".join((*names, written)))
                if node.is_folder and written is not None:
                    made.append((node.path, written))
            after = name_of(page[-1].path)
        return made

    async def _write(self, node: Node, descriptor: int, name: bytes) -> bytes | None:
        """Write one node and return its name, None when it has no bytes.

        A name that is taken all the same (two were made equal) is made another.
        """
        try:
            return await self._write_as(node, descriptor, name)
        except FileExistsError:
            return await self._write_as(node, descriptor, make_plain(os.fsdecode(name), node.uuid, other=True))

    async def _write_as(self, node: Node, descriptor: int, name: bytes) -> bytes | None:
        if node.is_folder:
            os.mkdir(name, dir_fd=descriptor)
            self._folders += 1
            return name
        if not await self._write_content(node, node.path, descriptor, name):
            return None
        self._files += 1
        return name

    async def _write_version(self, node: Node, descriptor: int, name: bytes) -> bytes | None:
        label = f"{node.path} (version {node.version or 'null'})"
        try:
            return name if await self._write_content(node, label, descriptor, name) else None
        except FileExistsError:  # somebody has a key of that very name
            name = make_plain(os.fsdecode(name), node.uuid, other=True)
            return name if await self._write_content(node, label, descriptor, name) else None

    async def _write_content(self, node: Node, label: str, descriptor: int, name: bytes) -> bool:
        try:
            reader = await self._blobs.objects.open(self._blobs.bucket, self._blobs.key_of(node))
        except (NotFound, Forbidden, Corrupt, Invalid):  # the last two: sealed content that can not be opened
            self._note_problem("missing", label)
            return False
        try:
            file = os.open(name, _CREATE, 0o666, dir_fd=descriptor)
            try:
                await self._copy(node, label, reader, file)
            finally:
                os.close(file)
        finally:
            reader.close()
        return True

    async def _copy(self, node: Node, label: str, reader: ObjectReader, file: int) -> None:
        digest = hashlib.md5(usedforsecurity=False)
        size = 0
        try:
            while data := await reader.read(size, _PIECE):
                await asyncio.to_thread(_take, file, digest, data)
                size += len(data)
        except (Corrupt, Invalid):  # the latter: sealed content that only its client can read
            self._note_problem("differing", label)
        else:
            is_hashed = bool(node.content_hash)
            if size != node.size or (is_hashed and digest.hexdigest() != node.content_hash):
                self._note_problem("differing", label)
        os.utime(file, ns=(node.mtime_ns, node.mtime_ns))
        kept = NodeAttributes(node.size, node.mtime_ns, node.etag, node.meta.unlocked)
        write_attributes(file, os.fstat(file).st_dev, kept, fresh=True)
        self._bytes += size
        self._note(SnapshotProgress("exporting", self._bytes, self._header.bytes))

    def _note_problem(self, kind: str, path: str) -> None:
        self._counts[kind] += 1
        if len(self._problems[kind]) < LISTED:
            self._problems[kind].append(path)

    def _note_renamed(self, path: str, written: bytes) -> None:
        self._counts["renamed"] += 1
        if len(self._renamed) < LISTED:
            self._renamed.append((path, os.fsdecode(written)))


def _take(file: int, digest: "hashlib._Hash", data: bytes) -> None:
    digest.update(data)
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
