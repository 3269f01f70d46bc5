"""Changes of what is there already: made, moved, removed, described. Every function here runs in a worker thread."""

import os
import stat
from collections.abc import Sequence

from cellsmono.datasource.objects import attributes as mirror
from cellsmono.datasource.objects.beneath import FOLDER, open_beneath
from cellsmono.datasource.objects.bucket import LocalBucket
from cellsmono.datasource.objects.emptying import empty_folder
from cellsmono.datasource.objects.failures import ABSENT, explain
from cellsmono.datasource.objects.kernel import rename_new
from cellsmono.datasource.objects.names import MARKER, WORK_FOLDER, not_found, split_read
from cellsmono.datasource.objects.publishing import Publisher, Road
from cellsmono.datasource.objects.snapshots import has_snapshots
from cellsmono.interfaces.node import NodeAttributes, facts_of
from cellsmono.interfaces.objects import Committed, FolderMade, ObjectInfo
from cellsmono.interfaces.snapshots import snapshots_inside
from cellsmono.kernel.errors import CellsError, Conflict


def make_folder(publisher: Publisher, bucket: LocalBucket, names: Sequence[bytes], key: str) -> tuple[FolderMade, ...]:
    """Make a folder and its missing parents. Raises the domain's errors."""
    road = Road()
    try:
        publisher.open_road(bucket, names, road)
        publisher.flush(bucket, road.to_flush)
        return tuple(road.made)
    except OSError as error:
        raise explain(error, key, writing=True) from error
    finally:
        road.close()


def delete(publisher: Publisher, bucket: LocalBucket, names: list[bytes], key: str) -> bool:
    """Remove one object, durably; False when there is none."""
    try:
        folder = bucket.open_folder(names[:-1])
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise explain(error, key, writing=True) from error
    try:
        if not stat.S_ISREG(bucket.look(names).st_mode):
            return False
        os.unlink(names[-1], dir_fd=folder)
        publisher.flush(bucket, [folder])
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise explain(error, key, writing=True) from error
    finally:
        os.close(folder)
    return True


def remove_folder(publisher: Publisher, bucket: LocalBucket, names: list[bytes], key: str) -> bool:
    """Remove a folder that holds nothing but our own files."""
    opened: list[int] = []
    try:
        opened.append(bucket.open_folder(names[:-1]))
        opened.append(os.open(names[-1], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=opened[0]))
        if not empty_folder(opened[0], names[-1], opened[1]):
            return False
        publisher.flush(bucket, opened[:1])
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise explain(error, key, writing=True) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return True


def move(
    publisher: Publisher,
    bucket: LocalBucket,
    source_names: list[bytes],
    target_names: list[bytes],
    source: str,
    target: str,
) -> Committed:
    """Rename an object or a folder, durably."""
    road = Road()
    folder = -1
    try:
        folder = bucket.open_folder(source_names[:-1])
        status = os.stat(source_names[-1], dir_fd=folder, follow_symlinks=False)
        if not (stat.S_ISDIR if source.endswith("/") else stat.S_ISREG)(status.st_mode):
            raise not_found(source)
    except OSError as error:
        if folder >= 0:
            os.close(folder)
        raise explain(error, source, writing=False) from error
    except CellsError:
        if folder >= 0:
            os.close(folder)
        raise
    try:
        publisher.open_road(bucket, target_names[:-1], road)
        if source != target:
            _rename(folder, source_names[-1], road.folder, target_names[-1], target)
            publisher.flush(bucket, [*road.to_flush, road.folder, folder])
        info = ObjectInfo(target, facts_of(os.stat(target_names[-1], dir_fd=road.folder, follow_symlinks=False)))
        return Committed(info, tuple(road.made))
    except OSError as error:
        raise explain(error, target, writing=True) from error
    finally:
        os.close(folder)
        road.close()


def _rename(source_folder: int, source: bytes, target_folder: int, target: bytes, key: str) -> None:
    if not key.endswith("/"):
        os.rename(source, target, src_dir_fd=source_folder, dst_dir_fd=target_folder)
        return
    try:
        rename_new(source_folder, source, target_folder, target)
    except FileExistsError:
        there = os.stat(target, dir_fd=target_folder, follow_symlinks=False)
        if stat.S_ISDIR(there.st_mode):
            raise Conflict(f"There is a folder at '{key}' already.", reason="exists", path=key) from None
        raise Conflict(f"There is an object at '{key}' already.", reason="parent_is_object", path=key) from None


def set_attributes(bucket: LocalBucket, names: list[bytes], key: str, attributes: NodeAttributes) -> None:
    """Mirror attributes beside an object. Raises NotFound."""
    descriptor, status = bucket.open_file(names, key)
    try:
        mirror.write_attributes(descriptor, status.st_dev, attributes, fresh=False)
    finally:
        os.close(descriptor)


def read_attributes(bucket: LocalBucket, keys: Sequence[str]) -> list[NodeAttributes | None]:
    """What is mirrored beside objects.

    Most files have nothing, and asking for the names of a file's attributes by its path costs a third of opening it
    safely. The answer is taken for a hint only: what is read is read by the safe way.
    """
    found: list[NodeAttributes | None] = []
    folder, start = "", b""
    for key in keys:
        above, _, name = key.rpartition("/")
        if above != folder or not start:
            folder, start = above, _begin_path(bucket, above)
        # A name that is not plain may be an escape, and may be none that stands for a file.
        is_plain = start and name.isascii() and "\0" not in name
        path = start + name.encode() if is_plain else _path_of(bucket, key)
        is_there = path is not None and mirror.may_have_attributes(path, follow=bucket.follow)
        found.append(_read_attributes(bucket, key) if is_there else None)
    return found


def _path_of(bucket: LocalBucket, key: str) -> bytes | None:
    try:
        return b"/".join([bucket.path, *split_read(key)])
    except CellsError:
        return None


def _begin_path(bucket: LocalBucket, folder: str) -> bytes:
    """The absolute path of a folder with its final ``/``; empty when there is none."""
    path = _path_of(bucket, folder)
    return b"" if path is None else path + b"/"


def _read_attributes(bucket: LocalBucket, key: str) -> NodeAttributes | None:
    try:
        descriptor, _ = bucket.open_file(split_read(key), key)
    except CellsError:
        return None
    try:
        return mirror.read_attributes(descriptor)
    finally:
        os.close(descriptor)


def make_bucket(path: bytes) -> None:
    """Make a bucket's folder. Raises OSError."""
    os.mkdir(path)
    above = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(above)
    finally:
        os.close(above)


def remove_bucket(bucket: LocalBucket) -> None:
    """Remove a bucket's folder that is empty but for our own files. Raises Conflict."""
    above_path, name = os.path.split(bucket.path)
    bucket.work.remove_leftovers()
    with bucket.opened() as root:
        folder = open_beneath(root, [], os.O_RDONLY | os.O_DIRECTORY)
    above = os.open(above_path, FOLDER)
    try:
        if not empty_folder(above, name, folder):
            if has_snapshots(folder) and not set(os.listdir(folder)) - {MARKER, WORK_FOLDER}:
                raise snapshots_inside(bucket.name)
            raise Conflict(f"The bucket '{bucket.name}' is not empty.", reason="not_empty")
    finally:
        os.close(above)
        os.close(folder)
    bucket.work.remove()
