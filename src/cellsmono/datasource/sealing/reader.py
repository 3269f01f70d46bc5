"""Reading sealed content: a range costs the frames that it touches."""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from cellsmono.datasource.sealing.format import (
    FRAME_BYTES,
    HEADER_BYTES,
    SEALED_FRAME_BYTES,
    Frames,
    Header,
    count_frames,
    sealed_size,
)
from cellsmono.datasource.sealing.streams import INLINE_BYTES
from cellsmono.interfaces.objects import ObjectReader
from cellsmono.kernel.errors import Corrupt, Forbidden, Invalid, Unavailable

Unlocked = Callable[[Frames], Awaitable["SealedReader"]]
Reopen = Callable[[], Awaitable[tuple[ObjectReader, Frames]]]


class LockedReader:
    """An open object that is sealed with a client's key. ``make`` makes the reader of it once the key is there."""

    def __init__(self, inner: ObjectReader, header: Header, plain: int, make: Unlocked) -> None:
        self.info = replace(inner.info, facts=replace(inner.info.facts, size=plain))
        self._inner = inner
        self._header = header
        self._make = make
        self._open: SealedReader | None = None

    async def unlock(self, client_key: bytes) -> None:
        """See ``Locked``."""
        frames = Frames(client_key, self._header)
        if not frames.fits(self._header):
            raise Forbidden(
                f"{self.info.key!r} is sealed with another key of its client.", reason="client_key", path=self.info.key
            )
        self._open = await self._make(frames)

    async def read(self, offset: int, length: int) -> bytes:
        """See ``ObjectReader``. Raises Invalid (reason ``client_key``) before it is unlocked."""
        if self._open is None:
            raise client_key_needed(self.info.key)
        return await self._open.read(offset, length)

    def fileno(self) -> int | None:
        """None: what lies behind a descriptor is sealed."""
        return None

    def close(self) -> None:
        """Release it."""
        self._inner.close() if self._open is None else self._open.close()


def client_key_needed(key: str) -> Invalid:
    """The error for content that only its client can read."""
    return Invalid(f"'{key}' is sealed with a key of its client, who alone can read it.", reason="client_key", path=key)


class SealedReader:
    """An open sealed object. ``reopen`` opens it again, where it may have been sealed anew meanwhile."""

    def __init__(self, inner: ObjectReader, frames: Frames, plain: int, reopen: Reopen) -> None:
        facts = replace(inner.info.facts, size=plain)
        self.info = replace(inner.info, facts=facts)
        self._inner = inner
        self._frames = frames
        self._reopen = reopen
        self._count = count_frames(plain)
        self._kept = (-1, b"")
        self._lock = asyncio.Lock()

    async def read(self, offset: int, length: int) -> bytes:
        """Up to ``length`` bytes from ``offset``; fewer only at the end. Raises Corrupt for what was altered."""
        length = min(length, self.info.facts.size - offset)
        if length <= 0:
            return b""
        first, last = offset // FRAME_BYTES, (offset + length - 1) // FRAME_BYTES
        async with self._lock:
            number, kept = self._kept
            pieces = [kept] if number == first else []
            if first + len(pieces) <= last:
                pieces.append(await self._read_frames(first + len(pieces), last))
            content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            at = (last - first) * FRAME_BYTES
            self._kept = last, content[at:]
        start = offset - first * FRAME_BYTES
        return content if start == 0 and len(content) == length else content[start : start + length]

    async def check(self) -> None:
        """Decrypt the last frame, so that content that was cut off is noticed. Raises Corrupt."""
        async with self._lock:
            self._kept = self._count - 1, await self._read_frames(self._count - 1, self._count - 1)

    async def _read_frames(self, first: int, last: int) -> bytes:
        try:
            data = await self._read_sealed(first, last)
        except Unavailable as error:
            if error.reason != "changed":
                raise
            # A blob's name never comes to mean other content, so this is the same under another key.
            self._inner.close()
            self._inner, self._frames = await self._reopen()
            data = await self._read_sealed(first, last)
        args = (first, data, self._count, self.info.key)
        if len(data) <= INLINE_BYTES:
            return self._frames.decrypt_run(*args)
        return await asyncio.to_thread(self._frames.decrypt_run, *args)

    async def _read_sealed(self, first: int, last: int) -> bytes:
        start = HEADER_BYTES + first * SEALED_FRAME_BYTES
        end = min(HEADER_BYTES + (last + 1) * SEALED_FRAME_BYTES, sealed_size(self.info.facts.size))
        data = await self._inner.read(start, end - start)
        if len(data) < end - start:
            raise Corrupt(f"'{self.info.key}' lost bytes on the storage.", reason="seal", path=self.info.key)
        return data

    def fileno(self) -> int | None:
        """None: what lies behind a descriptor is sealed."""
        return None

    def close(self) -> None:
        """Release it."""
        self._inner.close()
