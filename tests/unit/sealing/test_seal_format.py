"""The format of sealed bytes: every size, every range, and no byte that can be changed unnoticed."""

import secrets

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cellsmono.datasource.sealing.format import (
    FRAME_BYTES,
    HEADER_BYTES,
    MAGIC,
    SEALED_FRAME_BYTES,
    Frames,
    Sealer,
    count_frames,
    plain_size,
    read_header,
    sealed_size,
)
from cellsmono.datasource.sealing.reader import SealedReader
from cellsmono.datasource.sealing.streams import BATCH_BYTES, Counter, seal_body, unseal
from cellsmono.interfaces.node import Facts
from cellsmono.interfaces.objects import ObjectInfo
from cellsmono.kernel.errors import Corrupt, Invalid

SECRET = bytes(range(32))
KEY = b"\x01" * 8
SIZES = st.one_of(
    st.integers(0, 3 * FRAME_BYTES),
    st.sampled_from([0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES, 3 * FRAME_BYTES]),
)


def content(size):
    return (b"0123456789abcdef-" * (size // 17 + 1))[:size]


def seal(data, step=100_000, secret=SECRET, number=7):
    sealer = Sealer(secret, KEY, number)
    return b"".join(sealer.update(data[at : at + step]) for at in range(0, len(data), step)) + sealer.finish()


class Bytes:
    """A reader of bytes."""

    def __init__(self, data):
        self.data = data
        self.reads = []
        self.info = ObjectInfo("blob", Facts(len(data), 0))

    async def read(self, offset, length):
        self.reads.append((offset, length))
        return self.data[offset : offset + length]

    def close(self):
        self.data = b""


def open_sealed(sealed, secret=SECRET):
    frames = Frames(secret, read_header(sealed, "blob"))
    if not frames.fits(read_header(sealed, "blob")):
        raise Corrupt("another key")
    size = plain_size(len(sealed))
    if size is None:
        raise Corrupt("another size")

    async def reopen():
        raise AssertionError("it was not changed")

    inner = Bytes(sealed)
    return inner, SealedReader(inner, frames, size, reopen)


async def read_all(sealed, secret=SECRET):
    _, reader = open_sealed(sealed, secret)
    await reader.check()
    return await reader.read(0, 1 << 30)


@given(SIZES, st.integers(1, 70_000))
@settings(max_examples=40, deadline=None)
async def test_what_was_sealed_in_pieces_of_any_size_comes_back(size, step):
    data = content(size)
    sealed = seal(data, step)
    assert len(sealed) == sealed_size(size)
    assert plain_size(len(sealed)) == size
    assert await read_all(sealed) == data
    assert sealed != seal(data, step), "no two blobs have the same bytes"


@given(SIZES, st.lists(st.tuples(st.integers(0, 200_000), st.integers(0, 200_000)), max_size=6))
@example(2 * FRAME_BYTES, [(0, FRAME_BYTES), (FRAME_BYTES, 1), (FRAME_BYTES - 1, 2), (0, 1 << 20)])
@settings(max_examples=60, deadline=None)
async def test_any_range_is_that_of_the_content_and_costs_only_its_frames(size, ranges):
    data = content(size)
    inner, reader = open_sealed(seal(data))
    for offset, length in ranges:
        inner.reads.clear()
        assert await reader.read(offset, length) == data[offset : offset + length]
        touched = sum(each for _, each in inner.reads)
        assert touched <= (length // FRAME_BYTES + 2) * SEALED_FRAME_BYTES


@given(st.data(), st.sampled_from([0, 1, 100, FRAME_BYTES, FRAME_BYTES + 5, 2 * FRAME_BYTES]))
@settings(max_examples=150, deadline=None)
async def test_a_changed_byte_is_noticed_wherever_it_is(data, size):
    sealed = bytearray(seal(content(size)))
    at = data.draw(st.one_of(st.integers(0, len(sealed) - 1), st.integers(0, HEADER_BYTES - 1)))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises((Corrupt, Invalid)):
        await read_all(bytes(sealed))


@given(st.data(), st.sampled_from([0, 1, FRAME_BYTES, 2 * FRAME_BYTES, 2 * FRAME_BYTES + 9]))
@settings(max_examples=60, deadline=None)
async def test_what_was_cut_off_or_added_is_noticed(data, size):
    sealed = seal(content(size))
    end = data.draw(
        st.one_of(
            st.integers(0, len(sealed) - 1),
            st.sampled_from([HEADER_BYTES + n * SEALED_FRAME_BYTES for n in range(count_frames(size))]),
        )
    )
    with pytest.raises(Corrupt):
        await read_all(sealed[:end])
    with pytest.raises(Corrupt):
        await read_all(sealed + bytes(data.draw(st.integers(1, 100))))


async def test_frames_can_not_be_moved_repeated_or_taken_from_another_blob():
    data = content(3 * FRAME_BYTES + 5)
    sealed, other = seal(data), seal(data)

    def frame(whole, number):
        start = HEADER_BYTES + number * SEALED_FRAME_BYTES
        return whole[start : start + SEALED_FRAME_BYTES]

    head = sealed[:HEADER_BYTES]
    order = [(sealed, each) for each in range(4)]
    for wrong in (
        [order[1], order[0], order[2], order[3]],
        [order[0], order[0], order[2], order[3]],
        [order[0], (other, 1), order[2], order[3]],
        [order[3]],
        order[:3],
    ):
        with pytest.raises(Corrupt):
            await read_all(head + b"".join(frame(*each) for each in wrong))
    with pytest.raises(Corrupt):
        await read_all(other[:HEADER_BYTES] + sealed[HEADER_BYTES:])
    with pytest.raises(Corrupt):
        await read_all(sealed, secrets.token_bytes(32))


@given(st.integers(0, 400_000))
def test_a_size_that_no_content_has_is_told(size):
    found = plain_size(size)
    assert found is None or (found >= 0 and sealed_size(found) == size)
    assert plain_size(sealed_size(size)) == size


async def test_what_is_no_sealed_blob_or_a_newer_one_is_told():
    for wrong in (b"", b"short", b"x" * 200):
        with pytest.raises(Corrupt, match="no header"):
            read_header(wrong, "b")
    with pytest.raises(Invalid, match="newer"):
        read_header(MAGIC + b"\x02" + bytes(200), "b")


async def one_by_one(data, step):
    for at in range(0, len(data), step):
        yield data[at : at + step]


class Taken:
    def __init__(self):
        self.data = b""

    def update(self, data):
        self.data += data


@pytest.mark.parametrize("size", [0, 1, BATCH_BYTES, BATCH_BYTES + 1, 3 * BATCH_BYTES + 77])
@pytest.mark.parametrize("step", [1000, 65536, 1_000_000])
async def test_a_body_is_sealed_on_its_way_and_hashed_as_it_came(size, step):
    data, taken, counter = content(size), Taken(), Counter()
    body = seal_body(one_by_one(data, step), Sealer(SECRET, KEY, 9), [taken], counter)
    sealed = b"".join([piece async for piece in body])
    assert (taken.data, counter.size) == (data, size)
    assert await read_all(sealed) == data
    frames = Frames(SECRET, read_header(sealed, "b"))
    for pieces in (1, 50, 65_552, 1_000_000):
        stream = unseal(one_by_one(sealed, pieces), frames, size, "b") if size < 10 or pieces > 1 else None
        if stream is not None:
            assert b"".join([piece async for piece in stream]) == data
    if size:
        cut = sealed[: len(sealed) - len(sealed) % SEALED_FRAME_BYTES - 1]
        with pytest.raises(Corrupt):
            await anext(aiter([piece async for piece in unseal(one_by_one(cut, 5000), frames, size, "b")]))
