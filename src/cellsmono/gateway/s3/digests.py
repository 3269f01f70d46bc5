"""What a body is hashed with while it is stored, so that nothing wrong ever becomes visible.

All the hashing happens in ``update``, which the storage calls in a worker thread: MD5, payload hash, additional
checksum and the signatures of chunks cost the event loop nothing.
"""

import hashlib
import hmac
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from cellsmono.gateway.s3.checksums import Algorithm, Data, Running, encode_value
from cellsmono.gateway.s3.signature_v4 import EMPTY_SHA256, ChunkSigning, sign_chunk, sign_trailer
from cellsmono.interfaces.node import Checksum
from cellsmono.kernel.errors import Invalid


class ChunkVerifier:
    """Verifies the chain of chunk signatures of a signed streaming body.

    The decoder, on the event loop, says what to expect (``expect_chunk`` before it hands on the first byte of that
    chunk); the storage's worker thread hands over the bytes. The two meet in a deque, whose ends are safe to use from
    two threads.
    """

    def __init__(self, signing: ChunkSigning) -> None:
        self._signing = signing
        self._previous = signing.seed_signature
        self._expected: deque[tuple[int, str]] = deque()
        self._left = 0
        self._signature = ""
        self._hash = hashlib.sha256()
        self._trailer: tuple[bytes, str] | None = None
        self._is_ended = False

    def expect_chunk(self, size: int, signature: str) -> None:
        """The next chunk has this size and signature; the size 0 ends the body."""
        self._expected.append((size, signature))

    def expect_trailer(self, canonical: bytes, signature: str) -> None:
        """The trailing headers (``name:value\\n`` each) have this signature."""
        self._trailer = (canonical, signature)

    def update(self, data: Data, /) -> None:
        """Take the next payload bytes. Raises Invalid (reason ``chunk_signature``) at the end of a bad chunk."""
        view = memoryview(data)
        while view:
            if not self._left:
                self._begin_chunk()
            piece = view[: self._left]
            self._hash.update(piece)
            self._left -= len(piece)
            view = view[len(piece) :]
            if not self._left:
                self._check(sign_chunk(self._signing, self._previous, self._hash.hexdigest()), self._signature)

    def _begin_chunk(self) -> None:
        size, signature = self._expected.popleft() if self._expected else (0, "")
        if not size:
            raise Invalid("There are more bytes than the chunks announced.", reason="chunk_signature")
        self._left, self._signature = size, signature
        self._hash = hashlib.sha256()

    def finish(self) -> None:
        """Verify the final, empty chunk and the trailer. Raises Invalid (reason ``chunk_signature``)."""
        if self._is_ended:
            return
        if self._left or len(self._expected) != 1 or self._expected[0][0]:
            raise Invalid("The signed body is incomplete: its final chunk is missing.", reason="chunk_signature")
        _, signature = self._expected.popleft()
        self._check(sign_chunk(self._signing, self._previous, EMPTY_SHA256), signature)
        if self._trailer is not None:
            canonical, signature = self._trailer
            self._check(sign_trailer(self._signing, self._previous, canonical), signature)
        self._is_ended = True

    def _check(self, expected: str, given: str) -> None:
        if not hmac.compare_digest(expected, given):
            raise Invalid("The signature of a chunk does not match its bytes.", reason="chunk_signature")
        self._previous = given


class _Lane:
    """Some of a digest's hashes."""

    def __init__(self, updates: Sequence[Callable[[Data], object]]) -> None:
        self._updates = updates

    def update(self, data: Data, /) -> None:
        """Take the next bytes."""
        for update in self._updates:
            update(data)


class BodyDigest:
    """MD5 always, and whatever else was announced: a ``ContentDigest`` and ``PartDigest``.

    ``algorithm`` is the additional checksum to compute, ``checksum`` its announced value (a trailer gives it later
    through ``expect_checksum``). ``verify`` raises Invalid with one of the reasons ``bad_digest`` (Content-MD5),
    ``checksum``, ``payload_sha256`` and ``chunk_signature``.
    """

    def __init__(
        self,
        *,
        md5: bytes | None = None,
        payload_sha256: str = "",
        algorithm: Algorithm | None = None,
        checksum: bytes | None = None,
        chunks: ChunkVerifier | None = None,
    ) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._wanted_md5 = md5
        self._wanted_sha256 = payload_sha256
        self._algorithm = algorithm
        self._wanted_checksum = checksum
        self._running = algorithm.start() if algorithm is not None else None
        self._chunks = chunks
        self._sha256 = self._share_sha256() if payload_sha256 else None
        hashes: list[Running | ChunkVerifier | None] = [self._md5, self._sha256, chunks]
        if self._running is not self._sha256:
            hashes.append(self._running)
        self._updates = tuple(each.update for each in hashes if each is not None)
        self._named = {name: each for name, each in self._name_sums() if each is not None}
        self.sums = frozenset(self._named)
        self.size = 0

    def _share_sha256(self) -> Running:
        # Payload hash and SHA256 checksum are one value: computed once.
        if self._algorithm is not None and self._running is not None and self._algorithm.name == "SHA256":
            return self._running
        return hashlib.sha256()

    def _name_sums(self) -> Iterator[tuple[str, Running | None]]:
        yield "SHA256", self._sha256
        if self._algorithm is not None:
            yield self._algorithm.name, self._running

    def sum_of(self, name: str) -> bytes:
        """See ``SumHasher``."""
        return self._named[name].digest()

    def lanes(self) -> Sequence["_Lane"]:
        """See ``SumHasher``: MD5 takes as long as all the others together."""
        first, *others = self._updates
        return _Lane((first, self._count)), _Lane(tuple(others))

    def _count(self, data: Data) -> None:
        self.size += len(data)

    def update(self, data: Data, /) -> None:
        """Take the next bytes. Raises Invalid early when a chunk's signature is wrong."""
        for update in self._updates:
            update(data)
        self.size += len(data)

    def expect_checksum(self, value: bytes) -> None:
        """The additional checksum must have this value: what a trailer said."""
        self._wanted_checksum = value

    def verify(self) -> None:
        """Raise Invalid unless the bytes are the ones that were announced."""
        if self._chunks is not None:
            self._chunks.finish()
        if self._sha256 is not None and not hmac.compare_digest(self._sha256.digest().hex(), self._wanted_sha256):
            raise Invalid("The payload does not have the SHA-256 that was signed.", reason="payload_sha256")
        if self._wanted_md5 is not None and self._md5.digest() != self._wanted_md5:
            raise Invalid("The Content-MD5 you specified did not match what we received.", reason="bad_digest")
        if self._algorithm is None or self._running is None or self._wanted_checksum is None:
            return
        if self._running.digest() != self._wanted_checksum:
            name = self._algorithm.name
            raise Invalid(f"The {name} you specified did not match the calculated checksum.", reason="checksum")

    def etag(self) -> str:
        """The MD5 in hex."""
        return self._md5.hexdigest()

    def checksum(self) -> Checksum | None:
        """The additional checksum, if one is computed."""
        if self._algorithm is None or self._running is None:
            return None
        return Checksum(self._algorithm.name, encode_value(self._running.digest()))
