"""Metadata of an object: from request headers, and back into response headers."""

import re
from base64 import b64encode
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.s3.content_types import DEFAULT_TYPE, guess_type
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.grants import is_acl_header, read_acl_headers
from cellsmono.gateway.s3.settings import STORAGE_CLASSES
from cellsmono.gateway.s3.xml_read import check_tags
from cellsmono.interfaces.node import NO_META, NodeMeta

MAX_USER_BYTES: Final = 2048
"""AWS's limit on names and values of user metadata together."""

_META: Final = "x-amz-meta-"
_SSE: Final = "x-amz-server-side-encryption"
_ELSEWHERE: Final = (_SSE, "x-amz-object-lock-")
"""Headers that are read elsewhere."""
_STANDARD: Final = frozenset(
    {"cache-control", "content-disposition", "content-language", "expires", "x-amz-website-redirect-location"}
)
_NAMES: Final = {
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "expires": "Expires",
}
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]*")
_ENCODED_WORDS: Final = re.compile(r"=\?[\w-]+\?[BbQq]\?[^? ]*\?=(?:\s+=\?[\w-]+\?[BbQq]\?[^? ]*\?=)*", re.ASCII)
_UNSAFE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def read_meta(headers: MultiMapping[str], key: str) -> NodeMeta:
    """The metadata that a request asks to be stored with an object.

    Raises S3Error for headers that promise what this server does not do (some ACLs): storing the object without it
    would be a lie. Object locks are for ``locking.with_lock``, what they say about encryption must be asked of
    ``encryption.read_wish``.
    """
    content_type: str | None = None
    standard: dict[str, str] = {}
    user: dict[str, str] = {}
    tags: dict[str, str] = {}
    has_acl = False
    for raw_name, value in headers.items():
        name = raw_name.lower()
        if name.startswith("x-amz-"):
            if name.startswith(_META):
                _add_user(user, name[len(_META) :], value)
            elif name == "x-amz-storage-class":
                _add_storage_class(standard, value)
            elif name == "x-amz-tagging":
                tags = parse_tagging_header(value)
            elif name in _STANDARD:
                standard[name] = value
            elif is_acl_header(name):
                has_acl = True
            elif not name.startswith(_ELSEWHERE):
                refuse_header(name, value)
        elif name == "content-type":
            content_type = value
        elif name == "content-encoding":
            encoding = strip_aws_chunked(value)
            if encoding:
                standard[name] = encoding
        elif name in _STANDARD:
            standard[name] = value
    _check_user_size(user)
    _check_redirect(standard)
    meta = build_meta(key, content_type, standard, user, tags)
    acl = read_acl_headers(headers) if has_acl else ""
    return msgspec.structs.replace(meta, acl=acl) if acl else meta


def build_meta(
    key: str, content_type: str | None, standard: dict[str, str], user: dict[str, str], tags: dict[str, str]
) -> NodeMeta:
    """The metadata; the default type is only written down where the name would suggest another one."""
    if not content_type:
        content_type = None if guess_type(key) == DEFAULT_TYPE else DEFAULT_TYPE
    if content_type is None and not standard and not user and not tags:
        return NO_META
    return NodeMeta(content_type=content_type, headers=standard, user=user, tags=tags)


def strip_aws_chunked(value: str) -> str:
    """Content-Encoding without ``aws-chunked``, which is about the transfer and not about the object."""
    if "aws-chunked" not in value.lower():
        return value
    return ",".join(piece.strip() for piece in value.split(",") if piece.strip().lower() not in {"aws-chunked", ""})


def refuse_header(name: str, value: str) -> None:
    """Raise S3Error for an ``x-amz-`` header whose promise can not be kept."""
    if name.startswith(_SSE):
        raise invalid_argument(f"{name} header is not supported for this operation.", name, value)
    elif name.startswith("x-amz-object-lock-"):
        raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")
    elif name == "x-amz-write-offset-bytes":
        raise S3Error("NotImplemented", fields={"Header": name})


def _add_user(user: dict[str, str], name: str, value: str) -> None:
    if not name:
        raise invalid_argument("A metadata header needs a name after x-amz-meta-", _META, value)
    value = decode_user_value(value)
    user[name] = f"{user[name]},{value}" if name in user else value


def _add_storage_class(standard: dict[str, str], value: str) -> None:
    if value not in STORAGE_CLASSES:
        raise S3Error("InvalidStorageClass")
    if value != "STANDARD":
        standard["x-amz-storage-class"] = value


def _check_user_size(user: dict[str, str]) -> None:
    if not user:
        return
    size = sum(
        len(name.encode("utf-8", "replace")) + len(value.encode("utf-8", "replace")) for name, value in user.items()
    )
    if size > MAX_USER_BYTES:
        raise S3Error("MetadataTooLarge", fields={"Size": str(size), "MaxSizeAllowed": str(MAX_USER_BYTES)})


def _check_redirect(standard: dict[str, str]) -> None:
    target = standard.get("x-amz-website-redirect-location")
    if target is not None and not target.startswith(("/", "http://", "https://")):
        raise S3Error("InvalidRedirectLocation")


def decode_user_value(value: str) -> str:
    """A header's value as text: UTF-8 as it came, else Latin-1; RFC 2047 encoded words are decoded, as AWS does."""
    if value.isascii():
        if value.startswith("=?") and _ENCODED_WORDS.fullmatch(value):
            return _decode_words(value)
        return value
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


def _decode_words(value: str) -> str:
    try:
        words = decode_header(value)
        return "".join(text if isinstance(text, str) else text.decode(charset or "ascii") for text, charset in words)
    except (HeaderParseError, UnicodeDecodeError, LookupError, ValueError):
        return value


def encode_user_value(value: str) -> str:
    """Text as a response header has it: as it is when printable ASCII, else as an RFC 2047 encoded word (UTF-8, B)."""
    if _PRINTABLE.fullmatch(value):
        return value
    return f"=?UTF-8?B?{b64encode(value.encode('utf-8', 'surrogateescape')).decode()}?="


def write_meta(meta: NodeMeta, key: str) -> list[tuple[str, str]]:
    """The response headers for an object's metadata, Content-Type first."""
    if meta is NO_META:
        return [("Content-Type", guess_type(key))]
    written = [("Content-Type", _clean(meta.content_type) if meta.content_type else guess_type(key))]
    for name, value in meta.headers.items():
        written.append((_NAMES.get(name, name), _clean(value)))
    for name, value in meta.user.items():
        if _UNSAFE.search(name) is None and name.isascii():
            written.append((_META + name, encode_user_value(value)))
    if meta.tags:
        written.append(("x-amz-tagging-count", str(len(meta.tags))))
    return written


def _clean(value: str) -> str:
    """Without control characters: what a file's attributes hold was not necessarily written by us."""
    return value if _UNSAFE.search(value) is None else _UNSAFE.sub("", value)


def is_header_safe(value: str) -> bool:
    """Whether a text can be the value of a header."""
    return _UNSAFE.search(value) is None


def parse_tagging_header(value: str) -> dict[str, str]:
    """``x-amz-tagging``: a URL query. Raises S3Error InvalidArgument or InvalidTag."""
    pairs: list[tuple[str, str]] = []
    for piece in value.split("&"):
        if not piece:
            continue
        name, _, text = piece.partition("=")
        try:
            pairs.append((_unquote(name), _unquote(text)))
        except UnicodeDecodeError:
            raise invalid_argument(
                "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without"
                " tag name duplicates.",
                "x-amz-tagging",
                value,
            ) from None
    return check_tags(pairs)


def _unquote(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
