"""Copying many files between two buckets in one go, each compared with its source; nobody may use the target meanwhile.

What is copied has its final name at once and is not flushed by itself: whoever relies on it calls ``flush_bucket``, and
after a crash copies again what was not flushed. So this costs what ``cp`` does, and the comparison.
"""

import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress

import msgspec
import xxhash

from cellsmono.datasource.objects.attributes import write_attributes
from cellsmono.datasource.objects.beneath import LIST, READ
from cellsmono.datasource.objects.bucket import LocalBucket, make_directory
from cellsmono.datasource.objects.copying import clone_file
from cellsmono.datasource.objects.failures import FlushFailed, explain
from cellsmono.datasource.objects.kernel import flush_file_system
from cellsmono.datasource.objects.names import split_read, split_written
from cellsmono.datasource.objects.writer import write_all
from cellsmono.interfaces.node import Facts, NodeAttributes, facts_of
from cellsmono.kernel.errors import CellsError, NotFound

_SMALL_BYTES = 128 * 1024
"""Up to this size a file is read and written in one piece."""
_PIECE_BYTES = 1024 * 1024
_MOST_FOLDERS = 64
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_PERMISSIONS = 0o777


class FileJob(msgspec.Struct, frozen=True):
    """One file that is to be copied.

    ``facts`` are those of the source that is meant, of which ``by_size`` compares the size alone; ``md5`` is what it
    must have, if that is known.
    ``attributes`` is mirrored at the copy (size and time are set here), ``keeps_mode`` gives it the source's mode.
    """

    source: str
    target: str
    mtime_ns: int
    facts: Facts
    by_size: bool
    md5: str
    attributes: NodeAttributes
    keeps_mode: bool

    def expects(self, found: Facts) -> bool:
        """Whether a file with these facts is the one that is meant."""
        return found.size == self.facts.size if self.by_size else self.facts.is_same_content(found)


class Changed(msgspec.Struct, frozen=True, tag=True):
    """The source is not the one that is meant, changed while it was copied, or is gone (no facts)."""

    facts: Facts | None


class Damaged(msgspec.Struct, frozen=True, tag=True):
    """The source, or the copy of it, has not the bytes that it should; why."""

    detail: str


class FileCopied(msgspec.Struct, frozen=True, tag=True):
    """The facts of the source and of its copy."""

    source: Facts
    target: Facts


Outcome = FileCopied | Changed | Damaged


def copy_files(source: LocalBucket, target: LocalBucket, jobs: Sequence[FileJob]) -> list[Outcome]:
    """Copy these files; folders are made as needed. Raises what keeps all of them from being written."""
    sources, targets = _Folders(source, make=False), _Folders(target, make=True)
    try:
        return [_copy_file(job, sources, targets) for job in jobs]
    finally:
        sources.close()
        targets.close()


def flush_bucket(bucket: LocalBucket) -> None:
    """Make everything durable that was written to a bucket. Raises Unavailable, QuotaExceeded."""
    descriptor = bucket.open_folder(())
    try:
        flush_file_system(descriptor)
    except OSError as error:
        raise explain(FlushFailed(error.errno, error.strerror), writing=True) from error
    finally:
        os.close(descriptor)


def set_folder_time(bucket: LocalBucket, folder: str, mtime_ns: int) -> None:
    """Give a folder its time of modification, where that is allowed."""
    try:
        descriptor = bucket.open_folder(split_read(folder))
    except OSError as error:
        raise explain(error, folder, writing=True) from error
    try:
        with suppress(OSError, OverflowError):
            os.utime(descriptor, ns=(mtime_ns, mtime_ns))
    finally:
        os.close(descriptor)


class _Folders:
    """Open folders of a bucket, so that neighbours do not look the way up again."""

    def __init__(self, bucket: LocalBucket, *, make: bool) -> None:
        self._bucket = bucket
        self._make = make
        self._open: dict[tuple[bytes, ...], int] = {}

    def find(self, names: Sequence[bytes]) -> int:
        """The descriptor of a folder. Raises OSError, Unavailable."""
        key = tuple(names)
        found = self._open.get(key)
        if found is None:
            if len(self._open) >= _MOST_FOLDERS:
                self.close()
            found = self._open[key] = self._enter(names)
        return found

    def _enter(self, names: Sequence[bytes]) -> int:
        try:
            return self._bucket.open_folder(names)
        except FileNotFoundError:
            if not self._make or not names:
                raise
        above = self._enter(names[:-1])
        try:
            make_directory(above, names[-1])
            return os.open(names[-1], LIST | os.O_NOFOLLOW, dir_fd=above)
        finally:
            os.close(above)

    def open_source(self, key: str) -> int:
        """Open a file for reading. Raises OSError, NotFound, Unavailable."""
        names = split_read(key)
        if self._bucket.follow:
            return self._bucket.open_file(names, key)[0]
        return os.open(names[-1], READ | os.O_NOFOLLOW, dir_fd=self.find(names[:-1]))

    def close(self) -> None:
        """Close every folder."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()


def _copy_file(job: FileJob, sources: _Folders, targets: _Folders) -> Outcome:
    try:
        source = sources.open_source(job.source)
    except NotFound:
        return Changed(None)
    except OSError as error:
        known = explain(error, job.source, writing=False)
        return Changed(None) if isinstance(known, NotFound) else Damaged(known.message)
    try:
        status = os.fstat(source)
        facts = facts_of(status)
        if not stat.S_ISREG(status.st_mode) or not job.expects(facts):
            return Changed(facts)
        try:
            return _copy_open(job, source, facts, targets)
        except OSError as error:
            raise explain(error, job.target, writing=True) from error
    finally:
        os.close(source)


def _copy_open(job: FileJob, source: int, facts: Facts, targets: _Folders) -> Outcome:
    names = split_written(job.target)
    folder = targets.find(names[:-1])
    target = _create(folder, names[-1])
    try:
        try:
            fault = _copy_bytes(source, target, facts.size, job.md5)
        except _Unreadable as error:
            fault = Damaged(f"it can not be read: {error}")
        if fault is None and facts_of(os.fstat(source)) != facts:
            fault = Changed(facts)
        if fault is not None:
            os.unlink(names[-1], dir_fd=folder)
            return fault
        return FileCopied(facts, _dress(target, job, facts.mode & _PERMISSIONS))
    except (OSError, CellsError):
        with suppress(OSError):
            os.unlink(names[-1], dir_fd=folder)
        raise
    finally:
        os.close(target)


def _create(folder: int, name: bytes) -> int:
    """Make a file anew; one that is there is half a copy from before a crash."""
    try:
        return os.open(name, _CREATE, 0o666, dir_fd=folder)
    except FileExistsError:
        os.unlink(name, dir_fd=folder)
        return os.open(name, _CREATE, 0o666, dir_fd=folder)


def _dress(target: int, job: FileJob, mode: int) -> Facts:
    """Give a copy its time, its attributes and (last: it may forbid the others) its mode; the facts that it has."""
    os.utime(target, ns=(job.mtime_ns, job.mtime_ns))
    status = os.fstat(target)
    kept = msgspec.structs.replace(job.attributes, size=status.st_size, mtime_ns=status.st_mtime_ns)
    write_attributes(target, status.st_dev, kept, fresh=True)
    if not job.keeps_mode:
        return facts_of(status)
    os.fchmod(target, mode)
    return facts_of(os.fstat(target))


class _Unreadable(Exception):
    """The source failed, which is not the target's fault."""


def _copy_bytes(source: int, target: int, size: int, md5: str) -> Changed | Damaged | None:
    digest = hashlib.md5(usedforsecurity=False) if md5 else None
    quick = xxhash.xxh3_128()
    if size <= _SMALL_BYTES:
        data = _read(source, _SMALL_BYTES + 1, 0)
        write_all(target, data, 0)
        quick.update(data)
        if digest is not None:
            digest.update(data)
        copied = len(data)
    else:
        is_cloned = clone_file(source, target)
        copied = _copy_long(source, target, quick, digest, writes=not is_cloned)
    if copied != size:
        return Changed(None)
    if digest is not None and digest.hexdigest() != md5:
        return Damaged(f"its MD5 is {digest.hexdigest()}, recorded was {md5}")
    return _compare(target, size, quick.digest())


def _copy_long(
    source: int, target: int, quick: "xxhash.xxh3_128", digest: "hashlib._Hash | None", *, writes: bool
) -> int:
    offset = 0
    while data := _read(source, _PIECE_BYTES, offset):
        if writes:
            write_all(target, data, offset)
        quick.update(data)
        if digest is not None:
            digest.update(data)
        offset += len(data)
    return offset


def _compare(target: int, size: int, expected: bytes) -> Damaged | None:
    """Read the copy back."""
    found, offset = xxhash.xxh3_128(), 0
    while data := os.pread(target, _PIECE_BYTES if size > _SMALL_BYTES else size + 1, offset):
        found.update(data)
        offset += len(data)
    if offset == size and found.digest() == expected:
        return None
    return Damaged("its copy has other bytes; check the disk of the target")


def _read(source: int, length: int, offset: int) -> bytes:
    try:
        return os.pread(source, length, offset)
    except OSError as error:
        raise _Unreadable(error.strerror) from error
