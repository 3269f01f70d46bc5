"""Which bucket and key a request is about, and its query: exactly as sent, without any normalisation.

Keys are byte-exact in S3: ``a//b``, ``a/../b`` and ``a/./b`` are three keys of their own. Whether the storage can
express one is the storage's business.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from cellsmono.gateway.s3.errors import S3Error

MAX_KEY_BYTES: Final = 1024
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_IP_LIKE: Final = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)


class Target(msgspec.Struct, frozen=True, gc=False):
    """What a request addresses. ``bucket`` is empty for the service itself, ``key`` for a bucket.

    ``bucket_in_host`` says that the bucket was named by the Host header (virtual-host style).
    """

    bucket: str = ""
    key: str = ""
    bucket_in_host: bool = False

    @property
    def resource(self) -> str:
        """The path that errors name."""
        if not self.bucket:
            return "/"
        return f"/{self.bucket}/{self.key}" if self.key else f"/{self.bucket}"


def split_target(request_target: str) -> tuple[str, str]:
    """Raw path and raw query of an HTTP request target; the absolute form (to a proxy) is taken too."""
    if not request_target.startswith("/"):
        scheme, found, rest = request_target.partition("://")
        if not found or scheme.lower() not in {"http", "https"}:
            raise S3Error("InvalidURI")
        cut = re.search(r"[/?]", rest)
        request_target = rest[cut.start() :] if cut else "/"
        if not request_target.startswith("/"):
            request_target = "/" + request_target
    path, _, query = request_target.partition("?")
    return path, query


def decode_percent(text: str) -> str:
    """Percent-decoding to strict UTF-8. Raises S3Error InvalidURI for bad escapes, bad UTF-8 and NUL."""
    if "%" in text:
        if _BAD_PERCENT.search(text) is not None:
            raise S3Error("InvalidURI")
        raw = unquote_to_bytes(text.encode("utf-8", "surrogateescape"))
    elif text.isascii():
        raw = b""
    else:
        raw = text.encode("utf-8", "surrogateescape")
    if raw:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise S3Error("InvalidURI") from None
    if "\0" in text:
        raise S3Error("InvalidURI", "The specified URI contains a NUL character, which no key can have.")
    return text


def check_key(key: str) -> None:
    """Raise S3Error KeyTooLongError for a key of more than 1,024 bytes of UTF-8."""
    if len(key) * 4 > MAX_KEY_BYTES:
        size = len(key.encode("utf-8"))
        if size > MAX_KEY_BYTES:
            raise S3Error("KeyTooLongError", fields={"Size": str(size), "MaxSizeAllowed": str(MAX_KEY_BYTES)})


def bucket_of_host(host: str, domains: Sequence[str]) -> str:
    """The bucket named by a Host header below one of the served domains; empty when there is none."""
    if not domains or not host:
        return ""
    name = host.lower()
    if not name.startswith("["):
        name = name.partition(":")[0]
    name = name.removesuffix(".")
    for domain in domains:
        if name.endswith("." + domain.lower()):
            return name[: -len(domain) - 1]
    return ""


def parse_target(raw_path: str, host: str, domains: Sequence[str] = ()) -> Target:
    """Bucket and key of a raw (still percent-encoded) path.

    ``host`` is the Host header, ``domains`` the names below which ``bucket.domain`` is virtual-host style. Raises
    S3Error InvalidURI or KeyTooLongError.
    """
    if not raw_path.startswith("/"):
        raise S3Error("InvalidURI")
    path = decode_percent(raw_path)[1:]
    bucket = bucket_of_host(host, domains) if domains else ""
    if bucket:
        check_key(path)
        return Target(bucket, path, bucket_in_host=True)
    bucket, _, key = path.partition("/")
    if key:
        if not bucket:
            raise S3Error("InvalidBucketName", fields={"BucketName": bucket})
        check_key(key)
    return Target(bucket, key)


class Query:
    """A query string: names and values in order, decoded; blank values kept (``?acl`` is ``("acl", "")``).

    Where a name is repeated, ``get`` gives the first value, as AWS does.
    """

    __slots__ = ("_first", "pairs")

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs
        self._first: dict[str, str] = {}
        for name, value in pairs:
            self._first.setdefault(name, value)

    def get(self, name: str, default: str = "") -> str:
        """The first value of a name (names are case-sensitive), ``default`` when it is not there."""
        return self._first.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._first

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self.pairs)

    def __bool__(self) -> bool:
        return bool(self.pairs)

    def count(self, name: str) -> int:
        """How often a name occurs."""
        return sum(1 for other, _ in self.pairs if other == name)


EMPTY_QUERY: Final = Query([])


def parse_query(raw_query: str) -> Query:
    """Parse a raw query. ``+`` is a space, as AWS reads queries (not paths). Raises S3Error InvalidURI."""
    if not raw_query:
        return EMPTY_QUERY
    pairs = []
    for piece in raw_query.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((_decode_query_part(name), _decode_query_part(value)))
    return Query(pairs)


def _decode_query_part(text: str) -> str:
    return decode_percent(text.replace("+", " ") if "+" in text else text)


class CopySource(msgspec.Struct, frozen=True):
    """What ``x-amz-copy-source`` names. ``version_id`` is empty when none was given."""

    bucket: str
    key: str
    version_id: str = ""


def parse_copy_source(value: str) -> CopySource:
    """Parse ``x-amz-copy-source``: ``[/]bucket/key[?versionId=id]``, percent-encoded. Raises InvalidArgument."""
    raw, _, tail = value.partition("?")
    try:
        bucket, _, key = decode_percent(raw).removeprefix("/").partition("/")
        query = parse_query(tail)
    except S3Error:
        bucket = key = ""
        query = EMPTY_QUERY
    if not bucket or not key or any(name != "versionId" for name in query):
        raise S3Error(
            "InvalidArgument",
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            fields={"ArgumentName": "x-amz-copy-source", "ArgumentValue": value},
        )
    check_key(key)
    return CopySource(bucket, key, query.get("versionId"))


def is_bucket_name(name: str) -> bool:
    """Whether AWS would allow this as the name of a new bucket (general purpose bucket naming rules)."""
    return bool(
        _BUCKET.fullmatch(name)
        and ".." not in name
        and ".-" not in name
        and "-." not in name
        and not _IP_LIKE.fullmatch(name)
        and not name.startswith(("xn--", "sthree-", "amzn-s3-demo-"))
        and not name.endswith(("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"))
    )
