"""The file format: what goes in comes out, and nothing that was cut or altered does."""

import os
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellsmono.datasource.snapshots.format import MAGIC, VERSION, SnapshotDecoder, SnapshotEncoder
from cellsmono.interfaces.snapshots import SnapshotHeader, SnapshotOrigin
from cellsmono.kernel.errors import CellsError, Corrupt, Invalid

BODY = b"an index " * 400 + random.Random(3).randbytes(3000)


def header(**changes: object) -> SnapshotHeader:
    values = {
        "version": VERSION, "schema": 2, "datasource": "docs", "format": "structured", "root": "r", "folders": 1,
        "files": 2, "bytes": 3, "sequence": 4, "created": 5.0, "origin": SnapshotOrigin.MANUAL,
        "database_bytes": len(BODY),
    }  # fmt: skip
    return SnapshotHeader(**{**values, **changes})  # type: ignore[arg-type]


def pack(head: SnapshotHeader | None = None, body: bytes = BODY, piece: int = 1000) -> bytes:
    encoder = SnapshotEncoder(head or header())
    parts = [encoder.encode(body[at : at + piece]) for at in range(0, len(body), piece)]
    return b"".join([*parts, encoder.finish()])


def unpack(data: bytes, piece: int = 700, *, unpacked: bool = True) -> tuple[SnapshotHeader, bytes]:
    decoder = SnapshotDecoder("x.db", unpack=unpacked)
    found = [part for at in range(0, len(data), piece) for part in decoder.decode(data[at : at + piece])]
    return decoder.finish(), b"".join(found)


PACKED = pack()


@given(st.binary(max_size=5000), st.integers(1, 3000), st.integers(1, 3000))
def test_what_goes_in_comes_out_however_it_is_cut(body: bytes, pieces: int, read: int) -> None:
    head = header(database_bytes=len(body))
    assert unpack(pack(head, body, pieces), read) == (head, body)


def test_checking_alone_gives_the_header() -> None:
    assert unpack(PACKED, unpacked=False) == (header(), b"")


def test_memory_does_not_grow_with_what_is_packed() -> None:
    body = bytes(30 * 1024 * 1024)
    packed = pack(header(database_bytes=len(body)), body, 1 << 20)
    assert len(packed) < 1 << 20
    decoder = SnapshotDecoder("x.db")
    assert max(map(len, decoder.decode(packed))) <= 1 << 20


@pytest.mark.parametrize("is_unpacked", [True, False])
def test_every_truncation_is_refused(is_unpacked: bool) -> None:
    for length in range(len(PACKED)):
        with pytest.raises(Corrupt, match=r"x\.db"):
            unpack(PACKED[:length], unpacked=is_unpacked)


@pytest.mark.parametrize("is_unpacked", [True, False])
def test_every_flipped_bit_is_refused(is_unpacked: bool) -> None:
    for at in range(len(PACKED)):
        altered = bytearray(PACKED)
        altered[at] ^= 1 << at % 8
        with pytest.raises(CellsError):
            unpack(bytes(altered), unpacked=is_unpacked)


def test_what_was_added_is_refused() -> None:
    with pytest.raises(Corrupt):
        unpack(PACKED + b"x")
    with pytest.raises(Corrupt):
        unpack(PACKED + PACKED)


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\0" * 100, os.urandom(4000), MAGIC, MAGIC + b"\xff" * 2000])
def test_something_else_is_refused(data: bytes) -> None:
    with pytest.raises(Corrupt):
        unpack(data)


@pytest.mark.parametrize("size", [len(BODY) - 1, len(BODY) + 1, 0])
def test_a_size_that_does_not_fit_is_refused(size: int) -> None:
    with pytest.raises(Corrupt):
        unpack(pack(header(database_bytes=size)))


def test_a_newer_format_is_named() -> None:
    with pytest.raises(Invalid, match="newer") as error:
        unpack(pack(header(version=VERSION + 1)))
    assert error.value.reason == "version"


def test_keys_that_are_not_known_are_ignored() -> None:
    class Later(SnapshotHeader, frozen=True, kw_only=True):
        more: str = "x"

    values = msgspec.structs.asdict(header())
    assert unpack(pack(Later(**values)))[0] == header()
