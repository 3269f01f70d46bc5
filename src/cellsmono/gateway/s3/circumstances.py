"""What bucket policies may know about a request."""

from typing import Final

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.http import Exchange
from cellsmono.gateway.s3.addressing import Query
from cellsmono.gateway.s3.authentication import Identity
from cellsmono.gateway.s3.dates import NS_PER_SECOND, format_iso
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
_FROM_HEADERS: Final = {
    "aws:referer": "referer",
    "aws:useragent": "user-agent",
    "s3:x-amz-acl": "x-amz-acl",
    "s3:x-amz-content-sha256": "x-amz-content-sha256",
    "s3:x-amz-copy-source": "x-amz-copy-source",
    "s3:x-amz-metadata-directive": "x-amz-metadata-directive",
    "s3:x-amz-server-side-encryption": "x-amz-server-side-encryption",
    "s3:x-amz-storage-class": "x-amz-storage-class",
}
_AUTH_TYPES: Final = {"header": "REST-HEADER", "query": "REST-QUERY-STRING", "post": "POST"}
_SIGNATURES: Final = {2: "AWS", 4: "AWS4-HMAC-SHA256"}


def with_circumstances(
    actor: Actor, identity: Identity, exchange: Exchange, headers: MultiMapping[str], query: Query, now: float
) -> Actor:
    """The actor together with what is known about the request; ``now`` is in seconds since the epoch.

    ``headers`` are those that count: a presigned query or a form may bring some of them.
    """
    values = {
        "aws:currenttime": format_iso(int(now) * NS_PER_SECOND),
        "aws:epochtime": str(int(now)),
        "aws:securetransport": "true" if exchange.secure else "false",
    }
    if exchange.remote:
        values["aws:sourceip"] = exchange.remote
    if identity.kind != "anonymous":  # a token may come without any signature
        values["s3:authtype"] = _AUTH_TYPES[identity.kind]
        values["s3:signatureversion"] = _SIGNATURES[identity.version]
    for key, name in _FROM_QUERY.items():
        if name in query:
            values[key] = query.get(name)[:_LONGEST]
    for key, name in _FROM_HEADERS.items():
        if name in headers:
            values[key] = headers[name][:_LONGEST]
    action = ACTIONS.get(exchange.operation, "")
    if "versionId" in query:
        values["s3:versionid"] = query.get("versionId")[:_LONGEST]
        action = VERSION_ACTIONS.get(exchange.operation, action)
    return msgspec.structs.replace(actor, circumstances=Circumstances(action, values))
