"""Which operation a request asks for: method, level (service, bucket, object) and sub-resource."""

from typing import Final

from cellsmono.gateway.s3 import (
    acls,
    attributes,
    buckets,
    copying,
    deleting,
    encryption,
    listing,
    locking,
    posting,
    reading,
    tagging,
    uploads,
    uploads_listing,
    uploads_parts,
    versioning,
    versions_listing,
    writing,
)
from cellsmono.gateway.s3.addressing import Query
from cellsmono.gateway.s3.bucket_settings import (
    SETTINGS,
    answer_setting,
    get_policy_status,
    remove_setting,
    replace_setting,
)
from cellsmono.gateway.s3.cors import answer_preflight
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.request import Operation
from cellsmono.gateway.s3.subresources import (
    BUCKET_FEATURES,
    EMPTY,
    LISTS,
    MISSING,
    OBJECT_FEATURES,
    answer_document,
    answer_list,
    answer_missing,
    delete_nothing,
    refuse_feature,
    refuse_restore,
    refuse_setting,
)

SERVICE: Final = "service"
BUCKET: Final = "bucket"
OBJECT: Final = "object"

Row = tuple[str, Operation]
"""Name (as AWS calls the operation; also the label of metrics) and handler."""

_TABLE: Final[dict[tuple[str, str, str], Row]] = {
    ("GET", SERVICE, ""): ("ListBuckets", buckets.list_buckets),
    ("HEAD", SERVICE, ""): ("ListBuckets", buckets.list_buckets),
    ("GET", BUCKET, ""): ("ListObjects", listing.list_objects),
    ("HEAD", BUCKET, ""): ("HeadBucket", buckets.head_bucket),
    ("PUT", BUCKET, ""): ("CreateBucket", buckets.create_bucket),
    ("DELETE", BUCKET, ""): ("DeleteBucket", buckets.delete_bucket),
    ("POST", BUCKET, ""): ("PostObject", posting.post_object),
    ("GET", BUCKET, "location"): ("GetBucketLocation", buckets.get_location),
    ("GET", BUCKET, "encryption"): ("GetBucketEncryption", encryption.get_encryption),
    ("PUT", BUCKET, "encryption"): ("PutBucketEncryption", encryption.put_encryption),
    ("DELETE", BUCKET, "encryption"): ("DeleteBucketEncryption", encryption.delete_encryption),
    ("GET", BUCKET, "versioning"): ("GetBucketVersioning", versioning.get_versioning),
    ("PUT", BUCKET, "versioning"): ("PutBucketVersioning", versioning.put_versioning),
    ("GET", BUCKET, "object-lock"): ("GetObjectLockConfiguration", locking.get_configuration),
    ("PUT", BUCKET, "object-lock"): ("PutObjectLockConfiguration", locking.put_configuration),
    ("GET", BUCKET, "policyStatus"): ("GetBucketPolicyStatus", get_policy_status),
    ("GET", BUCKET, "acl"): ("GetBucketAcl", acls.get_bucket_acl),
    ("PUT", BUCKET, "acl"): ("PutBucketAcl", acls.put_bucket_acl),
    ("GET", BUCKET, "versions"): ("ListObjectVersions", versions_listing.list_versions),
    ("GET", BUCKET, "uploads"): ("ListMultipartUploads", uploads_listing.list_uploads),
    ("POST", BUCKET, "delete"): ("DeleteObjects", deleting.delete_objects),
    ("OPTIONS", BUCKET, ""): ("Options", answer_preflight),
    ("GET", OBJECT, ""): ("GetObject", reading.get_object),
    ("HEAD", OBJECT, ""): ("HeadObject", reading.head_object),
    ("PUT", OBJECT, ""): ("PutObject", writing.put_object),
    ("DELETE", OBJECT, ""): ("DeleteObject", deleting.delete_object),
    ("OPTIONS", OBJECT, ""): ("Options", answer_preflight),
    ("GET", OBJECT, "acl"): ("GetObjectAcl", acls.get_object_acl),
    ("PUT", OBJECT, "acl"): ("PutObjectAcl", acls.put_object_acl),
    ("GET", OBJECT, "tagging"): ("GetObjectTagging", tagging.get_tagging),
    ("PUT", OBJECT, "tagging"): ("PutObjectTagging", tagging.put_tagging),
    ("DELETE", OBJECT, "tagging"): ("DeleteObjectTagging", tagging.delete_tagging),
    ("GET", OBJECT, "attributes"): ("GetObjectAttributes", attributes.get_attributes),
    ("GET", OBJECT, "torrent"): ("GetObjectTorrent", refuse_feature),
    ("GET", OBJECT, "retention"): ("GetObjectRetention", locking.get_retention),
    ("PUT", OBJECT, "retention"): ("PutObjectRetention", locking.put_retention),
    ("GET", OBJECT, "legal-hold"): ("GetObjectLegalHold", locking.get_hold),
    ("PUT", OBJECT, "legal-hold"): ("PutObjectLegalHold", locking.put_hold),
    ("POST", OBJECT, "restore"): ("RestoreObject", refuse_restore),
    ("POST", OBJECT, "select"): ("SelectObjectContent", refuse_feature),
    ("POST", OBJECT, "uploads"): ("CreateMultipartUpload", uploads.create_upload),
    ("POST", OBJECT, "uploadId"): ("CompleteMultipartUpload", uploads.complete_upload),
    ("DELETE", OBJECT, "uploadId"): ("AbortMultipartUpload", uploads.abort_upload),
    ("PUT", OBJECT, "uploadId"): ("UploadPart", uploads_parts.upload_part),
    ("GET", OBJECT, "uploadId"): ("ListParts", uploads_parts.list_parts),
}
for _sub, _setting in SETTINGS.items():
    _TABLE["GET", BUCKET, _sub] = ("Get" + _setting.name, answer_setting(_setting))
    _TABLE["PUT", BUCKET, _sub] = ("Put" + _setting.name, replace_setting(_setting))
    _TABLE["DELETE", BUCKET, _sub] = ("Delete" + _setting.name, remove_setting(_setting))
for _sub, (_name, _code) in MISSING.items():
    _TABLE["GET", BUCKET, _sub] = ("Get" + _name, answer_missing(_code))
for _sub, (_name, _document) in EMPTY.items():
    _TABLE["GET", BUCKET, _sub] = ("Get" + _name, answer_document(_document))
for _sub, (_name, _root) in LISTS.items():
    _TABLE["GET", BUCKET, _sub] = ("Get" + _name, answer_list(_root))
for _sub, (_name, _) in (MISSING | EMPTY | LISTS).items():
    _TABLE["PUT", BUCKET, _sub] = ("Put" + _name, refuse_setting)
    _TABLE["DELETE", BUCKET, _sub] = ("Delete" + _name, delete_nothing)

for _level, _features in ((BUCKET, BUCKET_FEATURES), (OBJECT, OBJECT_FEATURES)):
    for _sub, _name in _features.items():
        for _method in ("GET", "PUT", "POST", "DELETE"):
            _TABLE.setdefault((_method, _level, _sub), (_method.title() + _name, refuse_feature))

_SUBRESOURCES: Final = {
    level: tuple(dict.fromkeys(sub for _, at, sub in _TABLE if at == level and sub))
    for level in (SERVICE, BUCKET, OBJECT)
}
_KNOWN: Final = {level: frozenset(subs) for level, subs in _SUBRESOURCES.items()}
_METHODS: Final = frozenset(method for method, _, _ in _TABLE)

_COPY: Final[dict[str, Row]] = {
    "": ("CopyObject", copying.copy_object),
    "uploadId": ("UploadPartCopy", uploads_parts.copy_part),
}


def find_operation(method: str, bucket: str, key: str, query: Query, is_copy: bool) -> Row:
    """The operation that a request asks for. ``is_copy``: it has an ``x-amz-copy-source`` header.

    Query parameters that are no sub-resources play no part, as in S3. Raises S3Error MethodNotAllowed where the
    resource has no such method.
    """
    level = OBJECT if key else BUCKET if bucket else SERVICE
    subresource = ""
    if query and method != "OPTIONS":  # a browser asks about the address as a whole, whatever its query is for
        known = _KNOWN[level]
        for name in query:
            if name in known:
                subresource = name
                break
    row = _TABLE.get((method, level, subresource))
    if row is None:
        raise S3Error(
            "MethodNotAllowed",
            fields={"Method": method, "ResourceType": level.upper()},
            headers=_allow(level, subresource),
        )
    if is_copy and method == "PUT" and level == OBJECT and subresource in _COPY:
        return _COPY[subresource]
    return row


def _allow(level: str, subresource: str) -> dict[str, str]:
    methods = sorted(method for method, at, sub in _TABLE if at == level and sub == subresource)
    return {"Allow": ", ".join(methods)} if methods else {}
