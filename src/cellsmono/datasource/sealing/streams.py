"""Bodies on their way: sealed before anybody stores them, and unsealed again where parts are joined."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing

from cellsmono.datasource.sealing.format import HEADER_BYTES, SEALED_FRAME_BYTES, Frames, Sealer, count_frames
from cellsmono.interfaces.objects import Hasher

BATCH_BYTES = 256 * 1024
"""So much is gathered for a thread at a time."""
INLINE_BYTES = 32 * 1024
"""Up to so much is sealed at once: a thread would cost more."""


class Counter:
    """How many bytes of content went by."""

    def __init__(self) -> None:
        self.size = 0


async def seal_body(
    body: AsyncIterable[bytes], sealer: Sealer, hashers: Sequence[Hasher], counter: Counter
) -> AsyncGenerator[bytes, None]:
    """The body as it is stored; the hashers see it as it came."""

    def take(chunks: Sequence[bytes]) -> bytes:
        for chunk in chunks:
            for hasher in hashers:
                hasher.update(chunk)
        return sealer.update(b"".join(chunks) if len(chunks) != 1 else chunks[0])

    batch: list[bytes] = []
    waiting = 0
    async for chunk in body:
        batch.append(chunk)
        waiting += len(chunk)
        counter.size += len(chunk)
        if waiting >= BATCH_BYTES:
            if sealed := await asyncio.to_thread(take, batch):
                yield sealed
            batch, waiting = [], 0
    last = take(batch) if waiting <= INLINE_BYTES else await asyncio.to_thread(take, batch)
    yield last + sealer.finish()


async def unseal(
    pieces: AsyncGenerator[bytes, None], frames: Frames, plain: int, name: str
) -> AsyncGenerator[bytes, None]:
    """The content of sealed bytes that are read from their beginning; ``plain`` is its size. Raises Corrupt."""
    total, number = count_frames(plain), 0
    waiting = bytearray()
    skipped = 0
    async with aclosing(pieces):
        async for piece in pieces:
            skip = min(HEADER_BYTES - skipped, len(piece))
            skipped += skip
            waiting += memoryview(piece)[skip:]
            whole = len(waiting) // SEALED_FRAME_BYTES
            if whole:
                run = bytes(waiting[: whole * SEALED_FRAME_BYTES])
                del waiting[: whole * SEALED_FRAME_BYTES]
                yield await asyncio.to_thread(frames.decrypt_run, number, run, total, name)
                number += whole
    if number < total:
        yield await asyncio.to_thread(frames.decrypt_run, number, bytes(waiting), total, name)
