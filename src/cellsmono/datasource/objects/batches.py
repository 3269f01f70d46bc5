"""Changes of many objects in one go, and of what surrounds an object's bytes. Runs in worker threads."""

import os
import stat
from collections.abc import Sequence

from cellsmono.datasource.objects.bucket import LocalBucket
from cellsmono.datasource.objects.failures import ABSENT, explain
from cellsmono.datasource.objects.flushing import flush_file
from cellsmono.datasource.objects.names import split_read, split_written
from cellsmono.datasource.objects.publishing import Publisher
from cellsmono.interfaces.node import Facts, facts_of
from cellsmono.kernel.errors import CellsError, NotFound

FOLDERS_TOGETHER = 64
"""Folders that are open at the same time."""


def delete_many(publisher: Publisher, bucket: LocalBucket, keys: Sequence[str]) -> list[bool | Exception]:
    """Unlink these keys, folder by folder, with one flush a folder, or for many where the journal keeps their order."""
    results: list[bool | Exception] = [False] * len(keys)
    folders: dict[tuple[bytes, ...], list[tuple[int, bytes]]] = {}
    for position, key in enumerate(keys):
        try:
            split_written(key)  # a reserved name is refused, also where nothing stands
            names = split_read(key)
        except NotFound:
            continue
        except CellsError as error:
            results[position] = error
            continue
        if names and not key.endswith("/"):
            folders.setdefault(tuple(names[:-1]), []).append((position, names[-1]))
    places = list(folders.items())
    for start in range(0, len(places), FOLDERS_TOGETHER):
        _delete_in_folders(publisher, bucket, places[start : start + FOLDERS_TOGETHER], keys, results)
    return results


def _delete_in_folders(
    publisher: Publisher,
    bucket: LocalBucket,
    places: Sequence[tuple[Sequence[bytes], Sequence[tuple[int, bytes]]]],
    keys: Sequence[str],
    results: list[bool | Exception],
) -> None:
    """Unlink in several folders, and flush them together: what was unlinked is told only after that."""
    changed: dict[int, Sequence[tuple[int, bytes]]] = {}
    try:
        for folder, entries in places:
            try:
                descriptor = bucket.open_folder(folder)
            except (OSError, CellsError) as error:
                for position, _ in entries:
                    results[position] = _explain(error, keys[position])
                continue
            for position, name in entries:
                results[position] = _unlink(descriptor, name, keys[position])
            if any(results[position] is True for position, _ in entries):
                changed[descriptor] = entries
            else:
                os.close(descriptor)
        try:
            publisher.flush_together(bucket, list(changed))
        except (OSError, CellsError) as error:
            for entries in changed.values():
                for position, _ in entries:
                    results[position] = _explain(error, keys[position])
    finally:
        for descriptor in changed:
            os.close(descriptor)


def _unlink(folder: int, name: bytes, key: str) -> bool | Exception:
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return False
        os.unlink(name, dir_fd=folder)
    except OSError as error:
        return _explain(error, key)
    return True


def _explain(error: Exception, key: str) -> bool | Exception:
    if not isinstance(error, OSError):
        return error
    return False if error.errno in ABSENT else explain(error, key, writing=True)


def set_mtime(bucket: LocalBucket, names: Sequence[bytes], key: str, mtime_ns: int) -> Facts:
    """Set an object's time of modification and keep its time of access."""
    descriptor, status = bucket.open_file(names, key)
    try:
        os.utime(descriptor, ns=(status.st_atime_ns, mtime_ns))
        if bucket.durable:
            flush_file(descriptor)
        return facts_of(os.fstat(descriptor))
    except (OSError, OverflowError) as error:
        if isinstance(error, OverflowError):
            error = OSError(22, "the time is out of range")
        raise explain(error, key, writing=True) from error
    finally:
        os.close(descriptor)
