"""Pieces of bodies on their way to an S3 server: where they wait, and the sums that go along."""

import base64
import hashlib
import os
import zlib

import pytest

from cellsmono.datasource.objects.s3 import spool
from cellsmono.datasource.objects.s3.spool import Room, Spool
from cellsmono.datasource.objects.s3.sums import Sums, find_source, split_lanes
from cellsmono.datasource.objects.workers import Workers
from cellsmono.gateway.s3.checksums import find_algorithm
from cellsmono.gateway.s3.digests import BodyDigest
from cellsmono.kernel.errors import Invalid

KIB = 1024


@pytest.fixture
async def workers():
    made = Workers()
    yield made
    await made.close()


def sums_of(data):
    crc32 = base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
    return crc32, hashlib.sha256(data).hexdigest()


async def fill(made, data, hashers, size=100 * KIB):
    for start in range(0, len(data), size):
        await made.add([data[start : start + size]], hashers)


async def read_all(body):
    return bytes(body) if isinstance(body, bytes) else b"".join([piece async for piece in body])


@pytest.mark.parametrize("room", [0, 1 << 30])
@pytest.mark.parametrize("size", [0, 1, 40 * KIB, 300 * KIB, 3000 * KIB])
async def test_a_piece_is_read_as_often_as_it_is_sent(workers, monkeypatch, size, room):
    monkeypatch.setattr(spool, "ROOM_BYTES", room)
    data, shared = os.urandom(size), Room()
    made = Spool(workers, shared, Sums(crc32=True, sha256=True))
    await fill(made, data, [()])
    body = made.body()
    assert (len(body), body.crc32, body.sha256) == (size, *sums_of(data))
    for _ in range(2):
        assert await read_all(body) == data
    assert (made._file is not None) == (size > spool.FIRST_BYTES and not room)
    made.close()
    assert shared._left == room


async def test_memory_is_shared_out_and_given_back(workers, monkeypatch):
    monkeypatch.setattr(spool, "ROOM_BYTES", 600 * KIB)
    shared, data = Room(), os.urandom(600 * KIB)
    first, second = (Spool(workers, shared, Sums(crc32=False, sha256=False)) for _ in range(2))
    for made in (first, second):
        await fill(made, data, [()])
    assert (first._file, second._file is None) == (None, False)
    first.close()
    assert shared._left == 600 * KIB
    assert await read_all(second.body()) == data
    second.close()


async def test_a_body_that_comes_in_alone_may_take_more(workers, monkeypatch):
    monkeypatch.setattr(spool, "ROOM_BYTES", 600 * KIB)
    shared, data = Room(), os.urandom(900 * KIB)
    made = [Spool(workers, shared, Sums(crc32=False, sha256=False)) for _ in range(2)]
    shared.widen(is_alone=True)
    await fill(made[0], data, [()])
    shared.widen(is_alone=False)
    await fill(made[1], data, [()])
    assert (made[0]._file, made[1]._file is None) == (None, False)
    for each in made:
        assert await read_all(each.body()) == data
        each.close()
    assert shared._left == 600 * KIB


@pytest.mark.parametrize("named", ["CRC32", "CRC64NVME", "SHA256", ""])
async def test_the_sums_of_pieces_follow_from_the_digest_of_them_all(workers, named):
    pieces = [os.urandom(size) for size in (700 * KIB, 300 * KIB + 7, 1, 0, 500 * KIB)]
    algorithm = find_algorithm(named) if named else None
    digest = BodyDigest(payload_sha256=hashlib.sha256(b"".join(pieces)).hexdigest(), algorithm=algorithm)
    ended = []
    for piece in pieces:
        sums = Sums(crc32=True, sha256=True, source=find_source([digest]), is_whole=False)
        assert (sums._crc32 is None) == (named == "CRC32")
        made = Spool(workers, Room(), sums)
        await fill(made, piece, split_lanes([digest]))
        made.end()
        ended.append(made)
    for piece, made in zip(pieces, ended, strict=True):  # by now the digest has gone on
        body = made._sums.tell()
        assert body == sums_of(piece)
        made.close()
    digest.verify()


@pytest.mark.parametrize("named", ["CRC32", "SHA256", ""])
async def test_sums_that_the_digest_computes_are_taken_from_there(workers, named):
    data = os.urandom(700 * KIB)
    crc32, sha256 = sums_of(data)
    algorithm = find_algorithm(named) if named else None
    digest = BodyDigest(payload_sha256=sha256, algorithm=algorithm)
    sums = Sums(crc32=True, sha256=True, source=find_source([digest]))
    assert (sums._sha256, sums._crc32) == (None, None if named == "CRC32" else 0)
    made = Spool(workers, Room(), sums)
    await fill(made, data, split_lanes([digest]))
    digest.verify()
    assert sums.tell() == (crc32, sha256)
    assert (digest.etag(), digest.size) == (hashlib.md5(data).hexdigest(), len(data))
    made.close()


async def test_a_digest_that_refuses_in_one_of_two_threads_is_heard(workers):
    class Refusing:
        sums = frozenset()

        def update(self, data, /):
            raise Invalid("no", reason="chunk_signature")

        def lanes(self):
            return [hashlib.md5(), self]

    made = Spool(workers, Room(), Sums(crc32=True, sha256=True))
    lanes = [[hashlib.md5()], [Refusing()]]
    with pytest.raises(Invalid):
        await made.add([b"x" * 400 * KIB], lanes)
    made.close()
