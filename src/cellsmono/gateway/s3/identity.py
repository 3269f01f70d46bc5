"""What authentication looks at, and what it finds: a request as it was signed, and who signed it."""

from typing import Literal

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.s3.addressing import EMPTY_QUERY, Query, parse_query
from cellsmono.gateway.s3.payload import PayloadMode
from cellsmono.gateway.s3.signature_v4 import ChunkSigning


class Identity(msgspec.Struct, frozen=True):
    """The outcome: who signed (``access_key`` empty: nobody), how, and what is known about the body.

    ``kind`` is ``header`` or ``query`` (presigned), ``post`` (a form with a policy), or ``anonymous``.
    ``payload_sha256`` is the announced hash in hex, empty when none was. ``signing`` is there for signed chunks.
    """

    access_key: str = ""
    kind: Literal["header", "query", "post", "anonymous"] = "anonymous"
    version: int = 0
    payload: PayloadMode = PayloadMode.UNSIGNED
    payload_sha256: str = ""
    signing: ChunkSigning | None = None


class SignedRequest:
    """What authentication looks at.

    ``raw_path`` and ``raw_query`` are as sent (``addressing.split_target``), ``host`` is the Host header, and
    ``virtual_bucket`` the bucket when the host named it (``Target.bucket_in_host``), which SigV2 needs.
    """

    __slots__ = ("_query", "headers", "host", "method", "raw_path", "raw_query", "virtual_bucket")

    def __init__(
        self,
        method: str,
        raw_path: str,
        raw_query: str,
        headers: MultiMapping[str],
        host: str,
        virtual_bucket: str = "",
    ) -> None:
        self.method = method
        self.raw_path = raw_path
        self.raw_query = raw_query
        self.headers = headers
        self.host = host
        self.virtual_bucket = virtual_bucket
        self._query: Query | None = None

    @property
    def query(self) -> Query:
        """The parsed query. Raises S3Error InvalidURI."""
        if self._query is None:
            self._query = parse_query(self.raw_query) if self.raw_query else EMPTY_QUERY
        return self._query
