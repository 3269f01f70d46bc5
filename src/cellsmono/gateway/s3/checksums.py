"""S3's additional checksums: algorithms, the values on the wire, and how those of parts become an object's.

Source: "Checking object integrity in Amazon S3" in the user guide. Values are the big-endian bytes in base64. CRCs can
be combined into the one of the whole object (FULL_OBJECT); of the others only a hash of the parts' hashes can be told
(COMPOSITE, written with ``-N``).
"""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.s3.errors import S3Error
from cellsmono.interfaces.node import Checksum

COMPOSITE: Final = "COMPOSITE"
FULL_OBJECT: Final = "FULL_OBJECT"

Data = bytes | bytearray | memoryview


class Running(Protocol):
    """A checksum in the making."""

    def update(self, data: Data, /) -> None:
        """Take the next bytes."""

    def digest(self) -> bytes:
        """The value of all bytes so far."""


class _Crc:
    """A cyclic redundancy check by a function of (data, value so far)."""

    __slots__ = ("_function", "_size", "_value")

    def __init__(self, function: Callable[[Data, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: Data, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def _crc32() -> Running:
    return _Crc(zlib.crc32, 4)


def _crc32c() -> Running:
    from awscrt import checksums as crt

    return _Crc(crt.crc32c, 4)


def _crc64nvme() -> Running:
    from awscrt import checksums as crt

    return _Crc(crt.crc64nvme, 8)


class Algorithm(msgspec.Struct, frozen=True):
    """One algorithm: its name in XML and headers, bytes of a value, and what it can do for multipart uploads.

    ``types`` are the checksum types that a multipart upload may have, the default first.
    """

    name: str
    size: int
    start: Callable[[], Running]
    types: tuple[str, ...]

    @property
    def header(self) -> str:
        """The header that carries a value."""
        return f"x-amz-checksum-{self.name.lower()}"

    @property
    def element(self) -> str:
        """The XML element that carries a value."""
        return f"Checksum{self.name}"


ALGORITHMS: Final[dict[str, Algorithm]] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("CRC32", 4, _crc32, (COMPOSITE, FULL_OBJECT)),
        Algorithm("CRC32C", 4, _crc32c, (COMPOSITE, FULL_OBJECT)),
        Algorithm("CRC64NVME", 8, _crc64nvme, (FULL_OBJECT,)),
        Algorithm("SHA1", 20, lambda: hashlib.sha1(usedforsecurity=False), (COMPOSITE,)),
        Algorithm("SHA256", 32, hashlib.sha256, (COMPOSITE,)),
    )
}
_BY_HEADER: Final = {algorithm.header: algorithm for algorithm in ALGORITHMS.values()}
# Headers that share the prefix and are no value.
_NO_VALUE: Final = frozenset({"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"})


def find_algorithm(name: str) -> Algorithm:
    """The algorithm of this name, in any case. Raises S3Error InvalidRequest for one that is not supported."""
    found = ALGORITHMS.get(name.upper())
    if found is None:
        names = ", ".join(ALGORITHMS)
        raise S3Error(
            "InvalidRequest",
            f"Checksum algorithm provided is unsupported. Please try again with any of the valid types: [{names}]",
        )
    return found


def find_by_header(header: str) -> Algorithm | None:
    """The algorithm whose values this header carries."""
    return _BY_HEADER.get(header.lower())


def decode_value(algorithm: Algorithm, text: str) -> bytes:
    """The bytes of a value on the wire. Raises S3Error InvalidRequest when it can not be one."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != algorithm.size:
        raise S3Error("InvalidRequest", f"Value for {algorithm.header} header is invalid.")
    return value


def encode_value(value: bytes) -> str:
    """A value as it is written on the wire."""
    return base64.b64encode(value).decode("ascii")


def decode_content_md5(text: str) -> bytes:
    """The bytes of a Content-MD5 header. Raises S3Error InvalidDigest."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != 16:  # noqa: PLR2004 - the size of an MD5
        raise S3Error("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return value


class Announced(msgspec.Struct, frozen=True):
    """The checksum that a request announces: its value, or (``value`` None) that a trailer will carry it."""

    algorithm: Algorithm
    value: bytes | None


def read_announced(headers: MultiMapping[str]) -> Announced | None:
    """What checksum a request carries, in a header or announced for its trailer. Raises S3Error InvalidRequest."""
    given = {name.lower(): value for name, value in headers.items() if name[:15].lower() == "x-amz-checksum-"}
    given = {name: value for name, value in given.items() if name not in _NO_VALUE}
    trailers = [name for name in declared_trailers(headers) if name.startswith("x-amz-checksum-")]
    sdk = headers.get("x-amz-sdk-checksum-algorithm", "")
    if len(given) + len(trailers) > 1:
        raise S3Error(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        )
    if not given and not trailers:
        if sdk:
            find_algorithm(sdk)
            raise S3Error(
                "InvalidRequest",
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers"
                " were found.",
            )
        return None
    header = trailers[0] if trailers else next(iter(given))
    algorithm = find_by_header(header)
    if algorithm is None:
        raise S3Error("InvalidRequest", "The algorithm type you specified in x-amz-checksum- header is invalid.")
    if sdk and sdk.upper() != algorithm.name:
        raise S3Error("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    return Announced(algorithm, None if trailers else decode_value(algorithm, given[header]))


def declared_trailers(headers: MultiMapping[str]) -> tuple[str, ...]:
    """The lower-case names that ``x-amz-trailer`` declares. Each must be a checksum, or it is InvalidRequest."""
    text = ",".join(headers.getall("x-amz-trailer", ()))
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    for name in names:
        if name not in _BY_HEADER:
            raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    return names


def resolve_type(algorithm: str, kind: str) -> tuple[str, str]:
    """Algorithm and checksum type of a new multipart upload from its two headers, both possibly empty.

    Raises S3Error InvalidRequest for a combination that AWS does not have.
    """
    if not algorithm:
        if kind:
            raise S3Error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )
        return "", ""
    found = find_algorithm(algorithm)
    kind = kind.upper() or found.types[0]
    if kind not in {COMPOSITE, FULL_OBJECT}:
        raise S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    if kind not in found.types:
        raise S3Error(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {found.name.lower()} checksum algorithm.",
        )
    return found.name, kind


def combine_parts(algorithm: str, kind: str, parts: Sequence[tuple[str, int]]) -> Checksum:
    """The checksum of an object from its parts' values (base64) and sizes in bytes, in their order."""
    found = find_algorithm(algorithm)
    if kind == COMPOSITE:
        running = found.start()
        for value, _ in parts:
            running.update(base64.b64decode(value))
        return Checksum(found.name, f"{encode_value(running.digest())}-{len(parts)}", COMPOSITE)
    combine = _combiner(found)
    total = 0
    for value, size in parts:
        total = combine(total, int.from_bytes(base64.b64decode(value), "big"), size)
    return Checksum(found.name, encode_value(total.to_bytes(found.size, "big")), FULL_OBJECT)


def _combiner(algorithm: Algorithm) -> Callable[[int, int, int], int]:
    from awscrt import checksums as crt

    combiners: dict[str, Callable[[int, int, int], int]] = {
        "CRC32": crt.combine_crc32,
        "CRC32C": crt.combine_crc32c,
        "CRC64NVME": crt.combine_crc64nvme,
    }
    return combiners[algorithm.name]


def multipart_etag(etags: Iterable[str]) -> str:
    """The ETag of an object from its parts' ETags (MD5 in hex): the MD5 of their bytes, and how many there were."""
    whole = hashlib.md5(usedforsecurity=False)
    count = 0
    for etag in etags:
        whole.update(bytes.fromhex(etag))
        count += 1
    return f"{whole.hexdigest()}-{count}"
