"""A process that does nothing but copy files between two buckets, as ``mass_copying`` does.

Copying small files is mostly Python's own work, and threads of one interpreter take turns at that. What goes to and fro
are frames: four bytes with the length, the highest first, and MessagePack. The first one comes from here and says that
all is ready; then each list of jobs is answered by as many outcomes, or by what kept all of them from being copied.
"""

import os
import signal
import sys
from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from cellsmono.datasource.objects.bucket import LocalBucket
from cellsmono.datasource.objects.kernel import end_with_parent
from cellsmono.datasource.objects.mass_copying import FileJob, Outcome, copy_files
from cellsmono.kernel.errors import CellsError

LENGTH_BYTES = 4
READY = b"ready"


class Places(msgspec.Struct, frozen=True):
    """The two buckets: their names, their folders, and whether links in them are followed."""

    source: tuple[str, bytes, bool]
    target: tuple[str, bytes, bool]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A ``CellsError`` under way."""

    code: str
    message: str
    reason: str
    path: str


Answer = list[Outcome] | Failed

_encode = msgspec.msgpack.Encoder().encode
_decode_jobs = msgspec.msgpack.Decoder(list[FileJob]).decode


def place_of(bucket: LocalBucket) -> tuple[str, bytes, bool]:
    """What the process has to know of a bucket."""
    return bucket.name, bucket.path, bucket.follow


def _open(place: tuple[str, bytes, bool]) -> LocalBucket:
    name, path, follow = place
    return LocalBucket(name, path, durable=False, follow=follow, marked=False)


def answer(source: LocalBucket, target: LocalBucket, jobs: Sequence[FileJob]) -> Answer:
    """Copy these files."""
    try:
        return copy_files(source, target, jobs)
    except CellsError as error:
        return Failed(error.code, error.message, error.reason, error.path)


def _read_frame(stream: BinaryIO) -> bytes:
    """The next frame, empty at the end."""
    head = stream.read(LENGTH_BYTES)
    return stream.read(int.from_bytes(head)) if len(head) == LENGTH_BYTES else b""


def _write_frame(stream: BinaryIO, data: bytes) -> None:
    stream.write(len(data).to_bytes(LENGTH_BYTES) + data)
    stream.flush()


def main(parent: int) -> None:
    """Copy until there is nothing more to be read, or the process ``parent`` is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all, and the parent says what is to end
    end_with_parent()
    if os.getppid() != parent:
        return
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    places = msgspec.msgpack.decode(_read_frame(incoming), type=Places)
    source, target = _open(places.source), _open(places.target)
    _write_frame(outgoing, READY)
    while frame := _read_frame(incoming):
        _write_frame(outgoing, _encode(answer(source, target, _decode_jobs(frame))))


if __name__ == "__main__":
    main(int(sys.argv[1]))
