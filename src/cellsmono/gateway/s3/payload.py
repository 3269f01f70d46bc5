"""How a body is framed and vouched for: what ``x-amz-content-sha256`` says."""

import enum
import re
from typing import Final

from multidict import MultiMapping

from cellsmono.gateway.s3.errors import S3Error, invalid_argument

_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class PayloadMode(enum.Enum):
    """How the body is framed and vouched for (``x-amz-content-sha256``)."""

    UNSIGNED = "unsigned"
    """As it is, with no hash announced."""
    HASHED = "hashed"
    """As it is; ``Identity.payload_sha256`` must match."""
    CHUNKS_SIGNED = "chunks_signed"
    """aws-chunked, each chunk signed."""
    CHUNKS_SIGNED_TRAILER = "chunks_signed_trailer"
    """aws-chunked, each chunk signed, trailing headers signed too."""
    CHUNKS_UNSIGNED_TRAILER = "chunks_unsigned_trailer"
    """aws-chunked without chunk signatures, with trailing headers."""

    @property
    def is_chunked(self) -> bool:
        """Whether the body must be decoded from the aws-chunked framing."""
        return self in _CHUNKED


_CHUNKED: Final = frozenset(
    {PayloadMode.CHUNKS_SIGNED, PayloadMode.CHUNKS_SIGNED_TRAILER, PayloadMode.CHUNKS_UNSIGNED_TRAILER}
)
_MODES: Final = {
    "UNSIGNED-PAYLOAD": PayloadMode.UNSIGNED,
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": PayloadMode.CHUNKS_SIGNED,
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": PayloadMode.CHUNKS_SIGNED_TRAILER,
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": PayloadMode.CHUNKS_UNSIGNED_TRAILER,
}


def read_payload_mode(headers: MultiMapping[str], value: str) -> tuple[PayloadMode, str]:
    """How the body is framed, and its announced SHA-256. ``value`` is what was signed; empty: SigV2 or anonymous.

    Without SigV4 there is no key for chunk signatures, so those are refused; but aws-chunked with a trailing checksum
    is what SDKs send for unsigned requests too, and then ``Content-Encoding`` is all that tells.
    """
    if value:
        mode = _MODES.get(value)
        if mode is not None:
            return mode, ""
    else:
        value = headers.get("x-amz-content-sha256", "")
        if _MODES.get(value) in {PayloadMode.CHUNKS_SIGNED, PayloadMode.CHUNKS_SIGNED_TRAILER}:
            raise S3Error("InvalidRequest", "Signed chunks need a request that is signed with AWS4-HMAC-SHA256.")
        if value in _MODES or not value:
            is_chunked = value.startswith("STREAMING") or _is_aws_chunked(headers)
            return PayloadMode.CHUNKS_UNSIGNED_TRAILER if is_chunked else PayloadMode.UNSIGNED, ""
    if _SHA256.fullmatch(value) is not None:
        return PayloadMode.HASHED, value
    if value.startswith("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"):
        raise S3Error("NotImplemented", "Chunks signed with ECDSA (multi-region access points) are not supported.")
    raise invalid_argument(
        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD,"
        " STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-UNSIGNED-PAYLOAD-TRAILER or a valid sha256 value.",
        "x-amz-content-sha256",
        value,
    )


def _is_aws_chunked(headers: MultiMapping[str]) -> bool:
    encodings = ",".join(headers.getall("content-encoding", ()))
    return any(encoding.strip().lower() == "aws-chunked" for encoding in encodings.split(","))
