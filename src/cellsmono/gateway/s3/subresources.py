"""Sub-resources of a bucket that can not be set here: what AWS answers when nobody set them."""

from typing import Final

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.request import Operation, S3Context, S3Request
from cellsmono.gateway.s3.respond import build_empty_document, element, reply_empty, reply_xml

MISSING: Final = {
    "website": ("BucketWebsite", "NoSuchWebsiteConfiguration"),
    "replication": ("BucketReplication", "ReplicationConfigurationNotFoundError"),
}
"""Sub-resource: (name in operations, error of a bucket that has none)."""

EMPTY: Final = {
    "notification": ("BucketNotificationConfiguration", build_empty_document("NotificationConfiguration")),
    "logging": ("BucketLogging", build_empty_document("BucketLoggingStatus")),
    "accelerate": ("BucketAccelerateConfiguration", build_empty_document("AccelerateConfiguration")),
    "requestPayment": (
        "BucketRequestPayment",
        build_empty_document("RequestPaymentConfiguration", element("Payer", "BucketOwner")),
    ),
}
"""Sub-resource: (name in operations, document of a bucket that has none)."""

LISTS: Final = {
    "analytics": ("BucketAnalyticsConfiguration", "ListBucketAnalyticsConfigurationResult"),
    "inventory": ("BucketInventoryConfiguration", "ListInventoryConfigurationsResult"),
    "metrics": ("BucketMetricsConfiguration", "ListMetricsConfigurationsResult"),
    "intelligent-tiering": (
        "BucketIntelligentTieringConfiguration",
        "ListBucketIntelligentTieringConfigurationsOutput",
    ),
}
"""Sub-resource with named configurations: (name in operations, root of the list)."""

BUCKET_FEATURES: Final = {
    "abac": "BucketAbac",
    "metadataAnnotationTable": "BucketMetadataAnnotationTable",
    "metadataConfiguration": "BucketMetadataConfiguration",
    "metadataInventoryTable": "BucketMetadataInventoryTable",
    "metadataJournalTable": "BucketMetadataJournalTable",
    "metadataTable": "BucketMetadataTable",
    "session": "Session",
}
OBJECT_FEATURES: Final = {"annotation": "ObjectAnnotation", "encryption": "ObjectEncryption", "renameObject": "Rename"}
"""Sub-resources of features that are not there: name in operations.

They must be known all the same: a request for one that was taken for a plain PUT or DELETE would overwrite or delete
the object or bucket itself.
"""


def answer_missing(code: str) -> Operation:
    """GET of something that is never set."""

    async def get(s3: S3Context, request: S3Request) -> Reply:
        await s3.router.read_root(request.actor, request.bucket)
        raise S3Error(code, fields={"BucketName": request.bucket})

    return get


def answer_document(document: bytes) -> Operation:
    """GET of something that has a document also when it is not set."""

    async def get(s3: S3Context, request: S3Request) -> Reply:
        await s3.router.read_root(request.actor, request.bucket)
        return reply_xml(document)

    return get


def answer_list(root: str) -> Operation:
    """GET of a list of configurations (none), or of one of them by ``id`` (not there)."""
    document = build_empty_document(root, element("IsTruncated", "false"))

    async def get(s3: S3Context, request: S3Request) -> Reply:
        await s3.router.read_root(request.actor, request.bucket)
        if request.query.get("id"):
            raise S3Error("NoSuchConfiguration")
        return reply_xml(document)

    return get


async def refuse_setting(s3: S3Context, request: S3Request) -> Reply:
    """PUT of a configuration that this server does not have."""
    await s3.router.read_root(request.actor, request.bucket)
    raise S3Error("NotImplemented", "This bucket configuration is not implemented.")


async def delete_nothing(s3: S3Context, request: S3Request) -> Reply:
    """DELETE of a configuration that is not set: done already."""
    if request.actor.kind != "owner":
        raise S3Error("AccessDenied")
    await s3.router.read_root(request.actor, request.bucket)
    return reply_empty(204)


async def refuse_restore(s3: S3Context, request: S3Request) -> Reply:
    """Nothing is ever archived, so that there is nothing to restore."""
    await s3.router.read_node(request.actor, request.bucket, request.key)
    raise S3Error("InvalidObjectState", "Restore is not allowed for the object's current storage class")


async def refuse_feature(s3: S3Context, request: S3Request) -> Reply:
    """Something that AWS has and this server does not."""
    raise S3Error("NotImplemented", "This operation is not implemented.")
