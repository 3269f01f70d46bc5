"""PostObject: uploads by browser forms."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec
from aiohttp import BodyPartReader, MultipartReader
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.web import RequestPayloadError
from multidict import CIMultiDict

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import xml_write
from cellsmono.gateway.s3.addressing import check_key
from cellsmono.gateway.s3.checksums import decode_content_md5, read_announced
from cellsmono.gateway.s3.circumstances import with_circumstances
from cellsmono.gateway.s3.digests import BodyDigest
from cellsmono.gateway.s3.encryption import read_wish
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.identity import Identity
from cellsmono.gateway.s3.locking import with_lock
from cellsmono.gateway.s3.metadata import is_header_safe, parse_tagging_header, read_meta
from cellsmono.gateway.s3.mtimes import read_mtime
from cellsmono.gateway.s3.post_policy import Policy, check_policy, limit_file, parse_policy
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import XML_TYPE
from cellsmono.gateway.s3.versioning import version_headers
from cellsmono.gateway.s3.writing import written_headers
from cellsmono.gateway.s3.xml_read import read_tagging
from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.node import Node, NodeMeta
from cellsmono.interfaces.paths import is_folder

_FILENAME: Final = "${filename}"
_STATUSES: Final = {"200": 200, "201": 201}
_MAX_FIELDS: Final = 200
_NO_POLICY: Final = Policy(expiration=0.0, conditions=())


async def post_object(s3: S3Context, request: S3Request) -> Reply:
    """PostObject. The form's own policy and signature say who uploads, not the request's headers."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise S3Error("MethodNotAllowed", fields={"Method": "POST", "ResourceType": "BUCKET"})
    request.exchange.accept_body()
    with _malformed():
        reader = MultipartReader(request.headers, request.exchange.content)
        fields, file = await _read_fields(reader, s3.settings.form_bytes)
    key = _read_key(fields, file.filename or "")
    identity, policy = _authorize(s3, request, fields)
    request.exchange.fields = {"bucket": request.bucket, "key": key}
    node, about = await _store(s3, request, key, fields, identity, policy, reader, file)
    about += version_headers(s3, request.bucket, node.version)
    return _answer(request, fields, key, node, about)


@contextmanager
def _malformed() -> Iterator[None]:
    """The parser tells of bad forms in many ways."""
    try:
        yield
    except (ValueError, AssertionError, RuntimeError, BadHttpMessage) as error:
        raise S3Error("MalformedPOSTRequest") from error
    except (RequestPayloadError, ConnectionError) as error:
        raise S3Error("IncompleteBody") from error


async def _read_fields(reader: MultipartReader, limit: int) -> tuple[dict[str, str], BodyPartReader]:
    """The fields before the file, by lower-case name, and the file's part. What follows the file is ignored."""
    fields: dict[str, str] = {}
    left = limit
    while True:
        part = await reader.next()
        if part is None:
            raise S3Error("IncorrectNumberOfFilesInPostRequest")
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise S3Error("MalformedPOSTRequest")
        name = part.name.lower()
        if name == "file":
            return fields, part
        value = bytearray()
        while piece := await part.read_chunk(8192):
            value += piece
            if len(value) > left:
                raise S3Error("MaxPostPreDataLengthExceededError")
        left -= len(value) + len(name)
        if len(fields) >= _MAX_FIELDS:
            raise S3Error("MaxPostPreDataLengthExceededError")
        if name in fields:
            raise invalid_argument("POST has a field more than once.", name, "")
        fields[name] = value.decode("utf-8")


def _read_key(fields: dict[str, str], filename: str) -> str:
    """The object's key, ``${filename}`` filled in. Fields are changed in place: the policy is about the result."""
    key = fields.get("key", "")
    if not key:
        raise S3Error("UserKeyMustBeSpecified", fields={"ArgumentName": "key", "ArgumentValue": ""})
    if _FILENAME in key:
        # Some browsers send the whole path of the file on the user's own disk.
        key = key.replace(_FILENAME, filename.replace("\\", "/").rpartition("/")[2])
        fields["key"] = key
    check_key(key)
    if not key or is_folder(key) or "\0" in key:
        raise invalid_argument("The key of a form upload must name a file.", "key", key)
    return key


def _authorize(s3: S3Context, request: S3Request, fields: dict[str, str]) -> tuple[Identity, Policy]:
    """Who signed the form, and what its policy allows. An unsigned form is anonymous and needs no policy."""
    identity = s3.authenticator.check_post(fields)
    if "policy" not in fields:
        return identity, _NO_POLICY
    policy = parse_policy(fields["policy"])
    check_policy(policy, fields, request.bucket, s3.clock.time())
    return identity, policy


async def _store(
    s3: S3Context,
    request: S3Request,
    key: str,
    fields: dict[str, str],
    identity: Identity,
    policy: Policy,
    reader: MultipartReader,
    file: BodyPartReader,
) -> tuple[Node, list[tuple[str, str]]]:
    """The new object, and what the answer says of it."""
    headers = _as_headers(fields, file)
    meta = with_lock(s3, request.bucket, key, _read_meta(headers, key, fields), headers)
    md5 = headers.get("content-md5")
    announced = read_announced(headers)
    digest = BodyDigest(
        md5=decode_content_md5(md5) if md5 is not None else None,
        algorithm=announced.algorithm if announced is not None else None,
        checksum=announced.value if announced is not None else None,
    )
    body = limit_file(_read_file(reader, file, s3.settings.max_put_bytes), policy)
    now = s3.clock.time()
    actor = with_circumstances(s3.find_actor(identity), identity, request.exchange, headers, request.query, now)
    wish = await read_wish(s3, request, headers=headers, actor=actor)
    options = WriteOptions(meta=wish.mark(meta), mtime_ns=read_mtime(meta.user), seal=wish.seal)
    node = await s3.router.put_node(actor, request.bucket, key, body, wish.hide(digest), options)
    return node, written_headers(node) + wish.headers(node)


def _as_headers(fields: Mapping[str, str], file: BodyPartReader) -> CIMultiDict[str]:
    """Form fields take the place of headers; the file's own type counts where no field gives one."""
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in fields.items():
        target = "x-amz-acl" if name == "acl" else name
        if target.startswith(("x-amz-", "content-", "cache-control", "expires")):
            headers[target] = value
    if "content-type" not in headers and "Content-Type" in file.headers:
        headers["content-type"] = file.headers["Content-Type"]
    if not all(is_header_safe(value) for value in headers.values()):
        raise S3Error("MalformedPOSTRequest", "A form field holds control characters.")
    return headers


def _read_meta(headers: CIMultiDict[str], key: str, fields: Mapping[str, str]) -> NodeMeta:
    meta = read_meta(headers, key)
    tagging = fields.get("tagging", "")
    if not tagging:
        return meta
    tags = read_tagging(tagging.encode()) if tagging.lstrip().startswith("<") else parse_tagging_header(tagging)
    return msgspec.structs.replace(meta, tags=tags)


async def _read_file(reader: MultipartReader, file: BodyPartReader, limit: int) -> AsyncIterator[bytes]:
    """The file's bytes, whole only if the form ends as it should: a body that broke off stores nothing."""
    size = 0
    while not file.at_eof():
        with _malformed():
            piece = await file.read_chunk(64 * 1024)
        size += len(piece)
        if size > limit:
            raise S3Error("EntityTooLarge", fields={"MaxSizeAllowed": str(limit)})
        if piece:
            yield piece
    with _malformed():
        while (part := await reader.next()) is not None:
            if isinstance(part, BodyPartReader) and (part.name or "").lower() == "file":
                raise S3Error("IncorrectNumberOfFilesInPostRequest")
    if not reader.at_eof():
        raise S3Error("IncompleteBody")


def _answer(request: S3Request, fields: Mapping[str, str], key: str, node: Node, about: list[tuple[str, str]]) -> Reply:
    etag = node.etag or node.effective_etag
    location = f"http://{request.host}/{quote(request.bucket)}/{quote(key)}"
    headers = [*about, ("Location", location)]
    redirect = fields.get("success_action_redirect") or fields.get("redirect", "")
    if redirect:
        target = _redirect_to(redirect, request.bucket, key, etag)
        if target:
            return Reply(303, [*about, ("Location", target)])
    status = _STATUSES.get(fields.get("success_action_status", ""), 204)
    if status != 201:  # noqa: PLR2004 - Created
        return Reply(status, headers)
    return Reply(201, [*headers, XML_TYPE], xml_write.write_post_response(location, request.bucket, key, etag))


def _redirect_to(url: str, bucket: str, key: str, etag: str) -> str:
    """The page to go on to, with what was stored in its query; empty when the form's URL is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.netloc or not is_header_safe(url):
        return ""
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("bucket", bucket), ("key", key), ("etag", f'"{etag}"')]
    return urlunsplit(parts._replace(query=urlencode(query)))
