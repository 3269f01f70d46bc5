"""Bodies before their commit: short ones wait here, long ones are parts of an upload that is not completed yet."""

import asyncio
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from cellsmono.datasource.objects.s3.endpoint import Connection
from cellsmono.datasource.objects.s3.facts import etag_of
from cellsmono.datasource.objects.s3.failures import code_of
from cellsmono.datasource.objects.s3.place import Place
from cellsmono.datasource.objects.s3.requests import ask, head
from cellsmono.datasource.objects.s3.spool import BATCH_BYTES, Room, Spool
from cellsmono.datasource.objects.s3.sums import Sums, find_source, split_lanes
from cellsmono.datasource.objects.workers import Workers
from cellsmono.interfaces.objects import Hasher, SumHasher
from cellsmono.kernel.errors import CellsError, Unavailable
from cellsmono.kernel.tasks import create_task

PART_BYTES = 8 * 1024 * 1024
"""A body up to this size is one PutObject; a longer one goes in parts of it."""

MOST_PARTS = 10_000
_GROW_AFTER = 1000
"""A body of unknown length gets parts twice as large after each so many, so that 5 TiB fit into S3's 10,000."""

SENDING = 16
"""Pieces of bodies that are sent to one endpoint at once."""

MOST_SENDING = 2
"""Parts of a body that comes in alone: while the server syncs one, it takes the next one in."""


def part_bytes(number: int, announced: int | None) -> int:
    """How large the part with this number (from 1) is to be, when so much was announced in all."""
    if announced is not None:
        return max(PART_BYTES, -(-announced // (MOST_PARTS - 1)))
    return PART_BYTES << min((number - 1) // _GROW_AFTER, 8)


class SentPart(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the server said about a part of an upload that it holds."""

    etag: str
    crc32: str = ""


def read_sent(answer: Mapping[str, Any]) -> SentPart:
    """It from the server's answer."""
    return SentPart(etag_of(answer), answer.get("ChecksumCRC32", ""))


class Courier:
    """Sends pieces of bodies, a bounded number at a time."""

    def __init__(self, connection: Connection, workers: Workers) -> None:
        self.connection = connection
        self.workers = workers
        self._sending = asyncio.Semaphore(SENDING)
        self._room = Room()
        self._receiving = 0

    def make_spool(self, source: SumHasher | None = None, *, is_whole: bool = True) -> Spool:
        """An empty piece; ``source`` is a hasher that takes it, and nothing else if it ``is_whole``."""
        endpoint = self.connection.endpoint
        sums = Sums(crc32=endpoint.checksums, sha256=endpoint.signs_bodies, source=source, is_whole=is_whole)
        return Spool(self.workers, self._room, sums)

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """A body comes in."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        self._receiving += more
        self._room.widen(is_alone=self.is_calm)

    @property
    def is_calm(self) -> bool:
        """Whether a body comes in alone. Then it may use two threads and more memory; for many that only costs."""
        return self._receiving == 1

    async def put(self, place: Place, key: str, spool: Spool, options: dict[str, Any]) -> str:
        """Store an object in one call; its ETag."""
        async with self._sending:
            body = spool.body()
            arguments = {**place.at(key), **place.options(), **options}
            answer = await ask(self.connection, "put_object", key, Body=body, **arguments)
        return etag_of(answer)

    async def send_part(self, upload: "OpenUpload", number: int, spool: Spool) -> SentPart:
        """Send one part and let go of its bytes; what the server says about it."""
        try:
            async with self._sending:
                body = spool.body()
                answer = await ask(
                    self.connection, "upload_part", upload.key, Body=body, PartNumber=number, **upload.arguments
                )
        finally:
            spool.close()
        sent = read_sent(answer)
        upload.parts[number] = sent
        return sent


class OpenUpload:
    """A multipart upload on the server whose completion will be the commit."""

    def __init__(self, connection: Connection, place: Place, key: str, upload_id: str, mtime_ns: int) -> None:
        self.key = key
        self.place = place
        self.mtime_ns = mtime_ns
        self.arguments = {**place.at(key), "UploadId": upload_id}
        self.parts: dict[int, SentPart] = {}
        self._connection = connection

    async def complete(self) -> str:
        """Make the object visible; its ETag."""
        parts = [_describe(number, self.parts[number]) for number in sorted(self.parts)]
        upload = {"Parts": parts}
        try:
            answer = await ask(
                self._connection, "complete_multipart_upload", self.key, MultipartUpload=upload, **self.arguments
            )
        except Unavailable as error:
            etag = await self._find_completed(parts) if code_of(error.__cause__) == "NoSuchUpload" else ""
            if not etag:
                raise
            return etag
        return etag_of(answer)

    async def _find_completed(self, parts: Sequence[dict[str, Any]]) -> str:
        """The ETag of the object that these parts made before, when the answer was lost; empty when it is not there."""
        found = await head(self._connection, self.place, self.key)
        etag = "" if found is None else etag_of(found)
        return etag if etag.strip('"') == _join_etags(parts) else ""

    async def abort(self) -> None:
        """Forget it. What can not be told to the server now goes with the stale uploads."""
        with suppress(CellsError):
            await asyncio.shield(ask(self._connection, "abort_multipart_upload", self.key, **self.arguments))


def _join_etags(parts: Sequence[dict[str, Any]]) -> str:
    """The ETag that S3 gives to an object of these parts; empty where theirs are no MD5s."""
    try:
        digests = b"".join(bytes.fromhex(part["ETag"].strip('"')) for part in parts)
    except ValueError:
        return ""
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _describe(number: int, part: SentPart) -> dict[str, Any]:
    found: dict[str, Any] = {"PartNumber": number, "ETag": part.etag}
    if part.crc32:
        found["ChecksumCRC32"] = part.crc32
    return found


async def begin_upload(
    connection: Connection, place: Place, key: str, mtime_ns: int, options: dict[str, Any], *, checksums: bool = True
) -> OpenUpload:
    """Begin an upload at its final key."""
    arguments = {**place.at(key), **place.options(), **options}
    if checksums and connection.endpoint.checksums:
        arguments["ChecksumAlgorithm"] = "CRC32"
    answer = await ask(connection, "create_multipart_upload", key, **arguments)
    return OpenUpload(connection, place, key, answer["UploadId"], mtime_ns)


class Intake:
    """Takes one body in. The result is a ``Spool`` (short) or an ``OpenUpload`` (long).

    With ``whole_bytes`` a body counts as short up to that size.
    """

    def __init__(
        self,
        courier: Courier,
        place: Place,
        key: str,
        mtime_ns: int,
        options: dict[str, Any],
        announced: int | None,
        whole_bytes: int = 0,
    ) -> None:
        self.size = 0
        self._whole_bytes = whole_bytes
        self._courier = courier
        self._place = place
        self._key = key
        self._mtime_ns = mtime_ns
        self._options = options
        self._announced = announced
        self._beginning: asyncio.Task[OpenUpload] | None = None
        self._number = 1
        self._spool = courier.make_spool()
        self._sending: list[asyncio.Task[None]] = []
        self._source: SumHasher | None = None
        self._is_shared = False
        self._lanes: tuple[Sequence[Sequence[Hasher]], Sequence[Sequence[Hasher]]] = ([()], [()])

    async def run(self, body: AsyncIterable[bytes], hashers: Sequence[Hasher]) -> Spool | OpenUpload:
        """Raises the domain's errors and what the body raises; nothing is left behind then."""
        self._source = source = find_source(hashers)
        self._is_shared = source is not None and self._announced is not None and self._announced <= self._room()
        self._spool = self._courier.make_spool(source, is_whole=self._is_shared)
        self._lanes = [hashers], split_lanes(hashers)
        try:
            with self._courier.receiving():
                async for batch in _batches(body):
                    await self._take(batch)
            if self._beginning is None:
                return self._spool
            await self._send()
            await self._settle(0)
            return await self._beginning
        except BaseException:
            await self._give_up()
            raise

    async def _give_up(self) -> None:
        self._spool.close()
        for sending in self._sending:
            sending.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._beginning is not None:
            (upload,) = await asyncio.gather(self._beginning, return_exceptions=True)
            if isinstance(upload, OpenUpload):
                await upload.abort()

    async def _take(self, batch: list[bytes]) -> None:
        room = self._room()
        total = sum(map(len, batch))
        self.size += total
        if total <= room:
            await self._add(batch)
            return
        rest = memoryview(b"".join(batch))
        while rest:
            room = self._room()
            if not room:
                await self._send()
                continue
            piece = bytes(rest[:room])
            await self._add([piece])
            rest = rest[len(piece) :]

    async def _add(self, chunks: Sequence[bytes]) -> None:
        together, apart = self._lanes
        await self._spool.add(chunks, apart if self._courier.is_calm else together)

    def _room(self) -> int:
        """How many bytes the present piece can still take."""
        least = self._whole_bytes if self._beginning is None else 0
        return max(least, part_bytes(self._number, self._announced)) - self._spool.size

    async def _send(self) -> None:
        """Send what is there as the next part, while the one after it comes in."""
        if self._beginning is None:
            if self._is_shared:
                raise ValueError("the body is longer than it was announced")
            beginning = begin_upload(self._courier.connection, self._place, self._key, self._mtime_ns, self._options)
            self._beginning = create_task(beginning, "objects-s3-begin")
        self._spool.end()
        await self._settle(MOST_SENDING - 1 if self._courier.is_calm else 0)
        sending = self._pass_on(self._beginning, self._number, self._spool)
        self._sending.append(create_task(sending, "objects-s3-part"))
        self._number += 1
        self._spool = self._courier.make_spool(self._source, is_whole=False)

    async def _pass_on(self, beginning: "asyncio.Task[OpenUpload]", number: int, spool: Spool) -> None:
        try:
            upload = await asyncio.shield(beginning)
        except BaseException:
            spool.close()
            raise
        await self._courier.send_part(upload, number, spool)

    async def _settle(self, most: int) -> None:
        """Wait until so many parts at most are being sent."""
        while len(self._sending) > most:
            done, _ = await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            for sending in done:
                self._sending.remove(sending)
                sending.result()


async def _batches(body: AsyncIterable[bytes]) -> AsyncIterator[list[bytes]]:
    batch: list[bytes] = []
    total = 0
    async for chunk in body:
        batch.append(chunk)
        total += len(chunk)
        if total >= BATCH_BYTES:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
