"""The calls that carry objects or look at them, made without the client's model of S3.

That model validates, serializes, signs and parses each call for 1.5 ms of processor time, as much as a MiB of content
needs. These four are what nearly all requests are, always with the same few arguments; connections, TLS, proxies and
errors are the client's all the same. Everything else, AWS itself and the old signature go through the client.

The signature: "Signature calculations for the Authorization header" of the Amazon S3 API reference.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from aiobotocore.httpsession import AIOHTTPSession
from aiobotocore.response import StreamingBody
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from botocore.utils import get_environ_proxies

from cellsmono.datasource.objects.s3.endpoint import CONNECTIONS, Endpoint

_METHODS = {
    "get_object": ("GET", "GetObject"),
    "head_object": ("HEAD", "HeadObject"),
    "put_object": ("PUT", "PutObject"),
    "upload_part": ("PUT", "UploadPart"),
}
_SENT = {
    "CacheControl": "cache-control",
    "ChecksumCRC32": "x-amz-checksum-crc32",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "ContentType": "content-type",
    "IfMatch": "if-match",
    "IfNoneMatch": "if-none-match",
    "Range": "range",
    "StorageClass": "x-amz-storage-class",
    "Tagging": "x-amz-tagging",
}
_IN_QUERY = {"PartNumber": "partNumber", "UploadId": "uploadId"}
_ELSEWHERE = frozenset({"Bucket", "Key", "Body", "Metadata"})
_TOLD = {
    "cache-control": "CacheControl",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "content-type": "ContentType",
    "etag": "ETag",
    "x-amz-checksum-crc32": "ChecksumCRC32",
}
_META = "x-amz-meta-"
_UNSIGNED = frozenset({"user-agent", "expect", "content-length"})
_EMPTY = hashlib.sha256(b"").hexdigest()
_FIRST_REFUSAL = 300
_LONG_BYTES = 1024 * 1024
_CODE = re.compile(rb"<Error>.*?<Code>([^<]+)</Code>", re.DOTALL)
_MESSAGE = re.compile(rb"<Message>([^<]*)</Message>")


class _Request(msgspec.Struct):
    """What the client's session sends."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any
    stream_output: bool


class Signer:
    """Signs requests with version 4. The key of a day is computed once."""

    def __init__(self, access_key: str, secret_key: str, region: str) -> None:
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region
        self._day = ""
        self._key = b""

    def sign(self, method: str, path: str, query: str, headers: dict[str, str], now: datetime) -> None:
        """Add date and signature to these headers (names in lower case), which say ``host`` and the body's hash."""
        headers["x-amz-date"] = when = now.strftime("%Y%m%dT%H%M%SZ")
        names = sorted(headers.keys() - _UNSIGNED)
        listed = ";".join(names)
        lines = [f"{name}:{' '.join(headers[name].split())}" for name in names]
        canonical = "\n".join((method, path, query, *lines, "", listed, headers["x-amz-content-sha256"]))
        scope = f"{when[:8]}/{self._region}/s3/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{when}\n{scope}\n{hashed}"
        signature = hmac.digest(self._key_of(when[:8]), text.encode(), "sha256").hex()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self._access_key}/{scope}, SignedHeaders={listed}, Signature={signature}"
        )

    def _key_of(self, day: str) -> bytes:
        if day != self._day:
            key = f"AWS4{self._secret_key}".encode()
            for part in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day, self._key = day, key
        return self._key


class Direct:
    """The four calls on one endpoint."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._signer = Signer(endpoint.access_key, endpoint.secret_key, endpoint.region)
        parts = urlsplit(endpoint.url)
        self._scheme, self._host, self._base = parts.scheme, parts.netloc, parts.path.rstrip("/")
        self._session = AIOHTTPSession(
            verify=endpoint.verify,
            proxies=get_environ_proxies(endpoint.url),
            timeout=(endpoint.connect_seconds, None),
            max_pool_connections=CONNECTIONS,
        )

    async def __aenter__(self) -> "Direct":
        await self._session.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()

    async def call(self, operation: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """One call, as the client makes it. Raises what the client raises."""
        request = self.make_request(operation, arguments, datetime.now(UTC))
        answer = await self._session.send(request)
        headers = {name.decode().lower(): value.decode() for name, value in answer.raw.raw_headers}
        if answer.status_code >= _FIRST_REFUSAL:
            raise _refusal(_METHODS[operation][1], answer.status_code, headers, await answer.content)
        told = _read_head(headers, answer.status_code)
        if request.stream_output:
            told["Body"] = StreamingBody(answer.raw, headers.get("content-length"))
        return told

    def make_request(self, operation: str, arguments: Mapping[str, Any], now: datetime) -> _Request:
        """The request, signed. Raises ValueError for an argument that is not one of the few."""
        method, _ = _METHODS[operation]
        body = arguments.get("Body")
        host, path = self._locate(arguments["Bucket"], quote(arguments["Key"], safe="/~"))
        headers, query = _write_head(arguments)
        headers["host"] = host
        headers["x-amz-content-sha256"] = self._hash(body)
        if body is not None:
            headers["content-length"] = str(len(body))
            if len(body) > _LONG_BYTES:  # it is sent once the server wants it
                headers["expect"] = "100-continue"
        self._signer.sign(method, path, query, headers, now)
        headers["user-agent"] = "cellsmono"
        url = f"{self._scheme}://{host}{path}{'?' if query else ''}{query}"
        return _Request(method, url, headers, body or None, operation == "get_object")

    def _locate(self, bucket: str, key: str) -> tuple[str, str]:
        if self._endpoint.path_style:
            return self._host, f"{self._base}/{bucket}/{key}"
        return f"{bucket}.{self._host}", f"{self._base}/{key}"

    def _hash(self, body: Any) -> str:
        if not body:
            return _EMPTY
        if not self._endpoint.signs_bodies:
            return "UNSIGNED-PAYLOAD"
        return getattr(body, "sha256", "") or hashlib.sha256(body).hexdigest()


def _write_head(arguments: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Headers and query of these arguments."""
    headers = {f"{_META}{name.lower()}": value for name, value in arguments.get("Metadata", {}).items()}
    query = []
    for name, value in arguments.items():
        if name in _SENT:
            headers[_SENT[name]] = value
        elif name in _IN_QUERY:
            query.append(f"{_IN_QUERY[name]}={quote(str(value), safe='~')}")
        elif name not in _ELSEWHERE:
            raise ValueError(f"{name} is not known here")
    return headers, "&".join(sorted(query))


def _read_head(headers: Mapping[str, str], status: int) -> dict[str, Any]:
    """What these headers tell, as the client tells it."""
    found: dict[str, Any] = {_TOLD[name]: value for name, value in headers.items() if name in _TOLD}
    found["Metadata"] = {name[len(_META) :]: value for name, value in headers.items() if name.startswith(_META)}
    found["ResponseMetadata"] = {"HTTPStatusCode": status, "HTTPHeaders": headers}
    try:
        if "content-length" in headers:
            found["ContentLength"] = int(headers["content-length"])
        if "last-modified" in headers:
            found["LastModified"] = parsedate_to_datetime(headers["last-modified"])
    except ValueError as error:
        raise ResponseParserError(f"a header can not be read: {error}") from error
    return found


def _refusal(operation: str, status: int, headers: Mapping[str, str], body: bytes) -> ClientError:
    code, message = _CODE.search(body), _MESSAGE.search(body)
    if code is None:
        known = status in HTTPStatus.__members__.values()
        told = {"Code": str(status), "Message": HTTPStatus(status).phrase if known else ""}
        if "x-minio-error-code" in headers:  # the answer to a HEAD has no body
            told["Code"] = headers["x-minio-error-code"]
    else:
        told = {"Code": unescape(code[1].decode("utf-8", "replace"))}
        told["Message"] = unescape(message[1].decode("utf-8", "replace")) if message else ""
    return ClientError(
        {"Error": told, "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers}}, operation
    )
