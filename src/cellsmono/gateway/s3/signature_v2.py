"""AWS Signature Version 2, for old tools, and for boto3, whose presigned URLs use it on custom endpoints.

Source: "Signing and authenticating REST requests (AWS signature version 2)" in the Amazon S3 user guide.
"""

import base64
import hmac
from typing import Final
from urllib.parse import unquote

from multidict import MultiMapping

SUB_RESOURCES: Final = frozenset(
    {
        "accelerate",
        "acl",
        "analytics",
        "cors",
        "defaultObjectAcl",
        "delete",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "partNumber",
        "policy",
        "replication",
        "requestPayment",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "restore",
        "select",
        "select-type",
        "storageClass",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    }
)
"""The query parameters that are signed; all others are not."""


def canonical_resource(raw_path: str, raw_query: str, virtual_bucket: str) -> str:
    """The path as sent, with the bucket in front when the host named it, and the signed part of the query."""
    resource = f"/{virtual_bucket}{raw_path}" if virtual_bucket else raw_path
    if not raw_query:
        return resource
    signed = []
    for piece in raw_query.split("&"):
        name, equals, value = piece.partition("=")
        if name in SUB_RESOURCES:
            signed.append((name, f"{name}={unquote(value)}" if equals else name))
    signed.sort(key=lambda pair: pair[0])
    return f"{resource}?{'&'.join(text for _, text in signed)}" if signed else resource


def canonical_amz_headers(headers: MultiMapping[str]) -> str:
    """All ``x-amz-`` headers, sorted, a line each: none can be added without breaking the signature."""
    found: dict[str, list[str]] = {}
    for name, value in headers.items():
        lowered = name.lower()
        if lowered.startswith("x-amz-"):
            found.setdefault(lowered, []).append(value.strip())
    return "".join(f"{name}:{','.join(found[name])}\n" for name in sorted(found))


def build_string_to_sign(
    method: str, headers: MultiMapping[str], raw_path: str, raw_query: str, virtual_bucket: str, expires: str | None
) -> str:
    """The string to sign. ``expires`` stands in the date's place for a presigned URL."""
    date = expires
    if date is None:
        date = "" if "x-amz-date" in headers else headers.get("date", "").strip()
    md5 = headers.get("content-md5", "").strip()
    content_type = headers.get("content-type", "").strip()
    resource = canonical_resource(raw_path, raw_query, virtual_bucket)
    return f"{method}\n{md5}\n{content_type}\n{date}\n{canonical_amz_headers(headers)}{resource}"


def sign(secret: str, string_to_sign: str) -> str:
    """The signature in base64 (HMAC-SHA1, which is the standard's choice and what makes it the old one)."""
    digest = hmac.digest(secret.encode("utf-8"), string_to_sign.encode("utf-8", "surrogateescape"), "sha1")
    return base64.b64encode(digest).decode("ascii")
