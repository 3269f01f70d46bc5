"""Uploads in parts whose object will be sealed: each part is sealed by itself, and joined through here.

That an upload is sealed is noted in front of its context. A part has a data key's seal of its own, so no disk holds
plain bytes; the size that the store below knows is the sealed one.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import aclosing

from msgspec.structs import replace

from cellsmono.datasource.flat.layout import new_seal, seal_of
from cellsmono.datasource.sealing.format import Sealer, plain_size, read_header, sealed_size
from cellsmono.datasource.sealing.keys import StoreKeys
from cellsmono.datasource.sealing.passing import Passing
from cellsmono.datasource.sealing.streams import Counter, seal_body, unseal
from cellsmono.interfaces.node import Checksum
from cellsmono.interfaces.objects import Hasher, Part, PartDigest, Staged, Target, Upload

_MARK = b"\x00sealed\x00"
"""What the context of a sealed upload begins with; that of a gateway never does, since it is text."""


class SealedParts(Passing):
    """The Multipart half of a ``SealedStore``."""

    keys: StoreKeys

    async def create_upload(self, bucket: str, key: str, context: bytes = b"", target: Target | None = None) -> Upload:
        """Begin an upload: a sealed one when the target's key says so. That key is not yet the one it will have."""
        if target is None or not seal_of(target.key):
            return await self.below.create_upload(bucket, key, context, target)
        return _bare(await self.below.create_upload(bucket, key, _MARK + context))

    async def read_upload(self, bucket: str, upload_id: str) -> Upload:
        """One upload."""
        return _bare(await self.below.read_upload(bucket, upload_id))

    async def list_uploads(
        self, bucket: str, prefix: str = "", after_key: str = "", after_id: str = "", limit: int = 1000
    ) -> list[Upload]:
        """Uploads in order of key and initiation."""
        return [_bare(each) for each in await self.below.list_uploads(bucket, prefix, after_key, after_id, limit)]

    async def _is_sealed(self, bucket: str, upload_id: str) -> bool:
        return (await self.below.read_upload(bucket, upload_id)).context.startswith(_MARK)

    async def put_part(
        self,
        bucket: str,
        upload_id: str,
        number: int,
        body: AsyncIterable[bytes],
        digest: PartDigest,
        size: int | None = None,
    ) -> Part:
        """Store (or replace) a part."""
        if not await self._is_sealed(bucket, upload_id):
            return await self.below.put_part(bucket, upload_id, number, body, digest, size)
        counter = Counter()
        sealed = seal_body(body, await self.keys.sealer(new_seal()), [digest], counter)
        announced = None if size is None else sealed_size(size)
        part = await self.below.put_part(bucket, upload_id, number, sealed, _Hashed(digest), announced)
        return replace(part, size=counter.size)

    async def list_parts(self, bucket: str, upload_id: str, after: int = 0, limit: int = 1000) -> list[Part]:
        """Parts by number."""
        parts = await self.below.list_parts(bucket, upload_id, after, limit)
        if not parts or not await self._is_sealed(bucket, upload_id):
            return parts
        return [replace(part, size=plain_size(part.size) or 0) for part in parts]

    async def read_part(self, bucket: str, upload_id: str, part: Part) -> AsyncGenerator[bytes, None]:
        """The content of a part."""
        is_sealed = await self._is_sealed(bucket, upload_id)
        async with aclosing(self.below.read_part(bucket, upload_id, _below(part) if is_sealed else part)) as stored:
            content = stored if not is_sealed else await self._unseal(stored, part)
            async for data in content:
                yield data

    async def _unseal(self, stored: AsyncGenerator[bytes, None], part: Part) -> AsyncGenerator[bytes, None]:
        name = f"part {part.number}"
        first = await anext(stored, b"")
        frames = await self.keys.frames(read_header(first, name), name)
        return unseal(_again(first, stored), frames, part.size, name)

    async def stage_upload(self, bucket: str, upload_id: str, parts: Sequence[Part]) -> Staged:
        """Join parts: those of a sealed upload are read and sealed as one."""
        if not await self._is_sealed(bucket, upload_id):
            return await self.below.stage_upload(bucket, upload_id, parts)
        return await self.stage_upload_with(bucket, upload_id, parts, b"")

    async def stage_upload_with(self, bucket: str, upload_id: str, parts: Sequence[Part], client_key: bytes) -> Staged:
        """See ``Sealing``; without a key of a client it is sealed with the newest data key."""

        async def read() -> AsyncGenerator[bytes, None]:
            for part in parts:
                async for data in self.read_part(bucket, upload_id, part):
                    yield data

        seal, size = new_seal(), sum(part.size for part in parts)
        sealer = await self.keys.sealer(seal, client_key)
        return await self.stage_sealed(bucket, read(), (), size, seal, sealer, None)

    async def stage_sealed(
        self,
        bucket: str,
        body: AsyncIterable[bytes],
        hashers: Sequence[Hasher],
        size: int | None,
        seal: int,
        sealer: Sealer,
        target: Target | None,
    ) -> Staged:
        """Seal a body under a number and store it in a temporary place."""
        raise NotImplementedError


class _Hashed:
    """A part's digest, for the store below: the content went through it before it was sealed."""

    def __init__(self, digest: PartDigest) -> None:
        self._digest = digest

    def update(self, data: bytes | bytearray | memoryview, /) -> None:
        """Sealed bytes do not count."""

    def verify(self) -> None:
        """See ``PartDigest``."""
        self._digest.verify()

    def etag(self) -> str:
        """See ``PartDigest``."""
        return self._digest.etag()

    def checksum(self) -> Checksum | None:
        """See ``PartDigest``."""
        return self._digest.checksum()


def _below(part: Part) -> Part:
    return replace(part, size=sealed_size(part.size))


def _bare(upload: Upload) -> Upload:
    return replace(upload, context=upload.context.removeprefix(_MARK))


async def _again(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for data in rest:
        yield data
