"""What bucket policies may know about a request."""

from collections.abc import Mapping
from typing import Final

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.http import Exchange
from cellsmono.gateway.s3.addressing import Query, parse_copy_source
from cellsmono.gateway.s3.dates import NS_PER_SECOND, format_iso
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.identity import Identity
from cellsmono.interfaces.locks import ObjectLock
from cellsmono.interfaces.router import Actor, Circumstances

_LONGEST: Final = 2048
"""Characters of a value that are looked at: longer ones come from nobody with good intentions."""

ACTIONS: Final = {
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "DeleteBucketReplication": "s3:PutReplicationConfiguration",
    "DeleteBucketWebsite": "s3:DeleteBucketWebsite",
    "DeleteObjectTagging": "s3:DeleteObjectTagging",
    "GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "GetBucketAcl": "s3:GetBucketAcl",
    "GetBucketAnalyticsConfiguration": "s3:GetAnalyticsConfiguration",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetBucketIntelligentTieringConfiguration": "s3:GetIntelligentTieringConfiguration",
    "GetBucketInventoryConfiguration": "s3:GetInventoryConfiguration",
    "GetBucketLocation": "s3:GetBucketLocation",
    "GetBucketLogging": "s3:GetBucketLogging",
    "GetBucketMetricsConfiguration": "s3:GetMetricsConfiguration",
    "GetBucketNotificationConfiguration": "s3:GetBucketNotification",
    "GetBucketReplication": "s3:GetReplicationConfiguration",
    "GetBucketRequestPayment": "s3:GetBucketRequestPayment",
    "GetBucketVersioning": "s3:GetBucketVersioning",
    "GetBucketWebsite": "s3:GetBucketWebsite",
    "GetObjectAcl": "s3:GetObjectAcl",
    "GetObjectAttributes": "s3:GetObjectAttributes",
    "GetObjectLegalHold": "s3:GetObjectLegalHold",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "GetObjectRetention": "s3:GetObjectRetention",
    "GetObjectTagging": "s3:GetObjectTagging",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListParts": "s3:ListMultipartUploadParts",
    "PutBucketAcl": "s3:PutBucketAcl",
    "PutBucketVersioning": "s3:PutBucketVersioning",
    "PutObjectAcl": "s3:PutObjectAcl",
    "PutObjectLegalHold": "s3:PutObjectLegalHold",
    "PutObjectLockConfiguration": "s3:PutBucketObjectLockConfiguration",
    "PutObjectRetention": "s3:PutObjectRetention",
    "PutObjectTagging": "s3:PutObjectTagging",
    "RestoreObject": "s3:RestoreObject",
}
"""Operation: its action, where policies know it by a name of its own. Others are what they do to nodes and settings."""

VERSION_ACTIONS: Final = {
    "DeleteObject": "s3:DeleteObjectVersion",
    "DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "GetObject": "s3:GetObjectVersion",
    "GetObjectAcl": "s3:GetObjectVersionAcl",
    "GetObjectAttributes": "s3:GetObjectVersionAttributes",
    "GetObjectTagging": "s3:GetObjectVersionTagging",
    "HeadObject": "s3:GetObjectVersion",
    "PutObjectAcl": "s3:PutObjectVersionAcl",
    "PutObjectTagging": "s3:PutObjectVersionTagging",
}
"""As ``ACTIONS``, for requests that name a version."""

_FROM_QUERY: Final = {"s3:prefix": "prefix", "s3:delimiter": "delimiter", "s3:max-keys": "max-keys"}
_COPY_SOURCE: Final = "x-amz-copy-source"
_FROM_HEADERS: Final = {"aws:referer": "referer", "aws:useragent": "user-agent"} | {
    f"s3:{name}": name
    for name in (
        "if-match",
        "if-none-match",
        "x-amz-acl",
        "x-amz-content-sha256",
        "x-amz-grant-full-control",
        "x-amz-grant-read",
        "x-amz-grant-read-acp",
        "x-amz-grant-write",
        "x-amz-grant-write-acp",
        "x-amz-metadata-directive",
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-storage-class",
        "x-amz-website-redirect-location",
    )
}
_AUTH_TYPES: Final = {"header": "REST-HEADER", "query": "REST-QUERY-STRING", "post": "POST"}
_SIGNATURES: Final = {2: "AWS", 4: "AWS4-HMAC-SHA256"}


def with_circumstances(
    actor: Actor, identity: Identity, exchange: Exchange, headers: MultiMapping[str], query: Query, now: float
) -> Actor:
    """The actor together with what is known about the request; ``now`` is in seconds since the epoch.

    ``headers`` are those that count: a presigned query or a form may bring some of them. Raises S3Error InvalidRequest
    for one that stands there twice, so that a policy never sees another value than what is done.
    """
    values = {
        "aws:currenttime": format_iso(int(now) * NS_PER_SECOND),
        "aws:epochtime": str(int(now)),
        "aws:securetransport": "true" if exchange.secure else "false",
    }
    if exchange.remote:
        values["aws:sourceip"] = exchange.remote
    if identity.access_key:
        values["s3:authtype"] = _AUTH_TYPES[identity.kind]
        values["s3:signatureversion"] = _SIGNATURES[identity.version]
    for key, name in _FROM_QUERY.items():
        if name in query:
            values[key] = query.get(name)[:_LONGEST]
    for key, name in _FROM_HEADERS.items():
        if name in headers:
            values[key] = _read_once(headers, name)[:_LONGEST]
    if _COPY_SOURCE in headers:
        values["s3:x-amz-copy-source"] = _read_source(_read_once(headers, _COPY_SOURCE))[:_LONGEST]
    action = ACTIONS.get(exchange.operation, "")
    if "versionId" in query:
        action = VERSION_ACTIONS.get(exchange.operation, action)
    return msgspec.structs.replace(actor, circumstances=Circumstances(action, values))


def _read_once(headers: MultiMapping[str], name: str) -> str:
    if name.startswith("x-amz-") and len(headers.getall(name)) > 1:
        raise S3Error("InvalidRequest", f"The header {name} was sent more than once; send it once.")
    return headers[name]


def _read_source(header: str) -> str:
    """The source of a copy as policies name it, ``bucket/key``, however it was written."""
    try:
        source = parse_copy_source(header)
    except S3Error:
        return header  # the operation will say what is wrong with it
    return f"{source.bucket}/{source.key}"


def with_tags(actor: Actor, tags: Mapping[str, str]) -> Actor:
    """Somebody who wants to give an object these tags."""
    return _change(actor, tags=tags)


def with_asked_lock(actor: Actor, lock: ObjectLock) -> Actor:
    """Somebody who wants to give a version this lock."""
    return _change(actor, lock=lock)


def _change(actor: Actor, **asked: object) -> Actor:
    circumstances = msgspec.structs.replace(actor.circumstances, **asked)
    return msgspec.structs.replace(actor, circumstances=circumstances)
