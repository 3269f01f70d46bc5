"""Reading from an S3 server: pieces are handed on as they come, and no byte more than was asked for."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from cellsmono.datasource.objects.s3 import reader as room
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.reader import S3Reader
from cellsmono.gateway.http.reply import FlowingBody

DATA = bytes(range(256)) * 40
SIZE = len(DATA)


class Stream:
    """What a client's answer looks like: pieces of 1000 bytes, between which the ends of HTTP chunks are told."""

    def __init__(self, start=0, until=SIZE, piece=1000):
        self.at, self.until, self.piece = start, until, piece
        self.raw_stream = SimpleNamespace(content=self)
        self.is_told = False

    def at_eof(self):
        return self.at >= self.until

    async def readchunk(self):
        self.is_told = not self.is_told
        return (b"", not self.at_eof()) if self.is_told else (await self.read(self.piece), True)

    async def read(self, length):
        data = DATA[self.at : min(self.at + length, self.until)]
        self.at += len(data)
        return data

    def close(self):
        pass


@pytest.fixture
def asked(monkeypatch):
    """Offsets that were asked for anew."""
    offsets = []

    async def ask(connection, operation, key, **arguments):
        offsets.append(int(arguments["Range"].removeprefix("bytes=").rstrip("-")))
        assert arguments["IfMatch"] == '"e"'
        return {"Body": Stream(offsets[-1])}

    monkeypatch.setattr(room, "ask", ask)
    return offsets


def make(stream, size=SIZE):
    connection = SimpleNamespace(patience=SimpleNamespace(seconds=30))
    answer = {"Body": stream, "ContentLength": size, "ETag": '"e"', "LastModified": datetime.now(UTC)}
    return S3Reader(connection, Place("d", "b", ""), "k", answer)


async def take(reader, start, end):
    pieces = []
    while start < end:
        pieces.append(await reader.read_piece(start, end - start))
        assert pieces[-1], "nothing comes at the end alone"
        start += len(pieces[-1])
    assert start == end
    return pieces


async def test_pieces_are_handed_on_as_they_come(asked):
    made = make(Stream())
    assert isinstance(made, FlowingBody)
    pieces = await take(made, 0, SIZE)
    assert (b"".join(pieces), {len(one) for one in pieces[:-1]}, asked) == (DATA, {1000}, [])
    assert await made.read_piece(SIZE, 1) == b""


async def test_a_stream_that_breaks_is_taken_up_where_it_broke(asked):
    made = make(Stream(until=2500))
    assert (b"".join(await take(made, 0, SIZE)), asked) == (DATA, [2500])


@pytest.mark.parametrize(("start", "end"), [(0, 1500), (300, 1500), (300, SIZE)])
async def test_a_range_is_no_longer_than_it_is(asked, start, end):
    made = make(Stream())
    assert b"".join(await take(made, start, end)) == DATA[start:end]
    assert asked == ([start] if start else [])


async def test_more_than_was_announced_is_not_handed_on(asked):
    made = make(Stream(piece=1 << 20), 700)
    assert await asyncio.wait_for(made.read_piece(0, 700), 5) == DATA[:700]
