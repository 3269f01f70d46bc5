"""The settings of a bucket that are one document each: read it, replace it, remove it."""

from collections.abc import Callable
from typing import Final

import msgspec

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import cors_xml, lifecycle_xml, xml_read, xml_write
from cellsmono.gateway.s3.buckets import read_ownership, require_owner
from cellsmono.gateway.s3.errors import S3Error
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.request import Operation, S3Context, S3Request
from cellsmono.gateway.s3.respond import XML_TYPE, reply_empty, reply_xml
from cellsmono.interfaces.bucket_settings import BucketSettings, Change, PublicAccessBlock

MAX_TAGS: Final = 50
_LEAST_TRANSITION: Final = ("x-amz-transition-default-minimum-object-size", "all_storage_classes_128K")
"""What tools want to read back, though nothing is ever moved to another storage."""
_BLOCKS: Final = {
    "BlockPublicAcls": "block_acls",
    "IgnorePublicAcls": "ignore_acls",
    "BlockPublicPolicy": "block_policy",
    "RestrictPublicBuckets": "restrict",
}


class Setting(msgspec.Struct, frozen=True):
    """One document of a bucket.

    ``name`` is the one in operations (``Get`` + name), ``missing`` the error of a bucket without it, ``read_action``
    and ``write_action`` are what policies call reading and changing it (``delete_action``: removing it, if otherwise).
    ``write`` makes the document (empty: not set), ``read`` turns a new one into a change, ``removal`` is the change
    that removes it. ``put_status`` answers a PUT, ``headers`` go with the document.
    """

    name: str
    missing: str
    read_action: str
    write_action: str
    write: Callable[[BucketSettings], bytes]
    read: Callable[[bytes], Change]
    removal: Change
    put_status: int = 200
    delete_action: str = ""
    headers: tuple[tuple[str, str], ...] = (XML_TYPE,)


def answer_setting(setting: Setting) -> Operation:
    """GET of a document."""

    async def get(s3: S3Context, request: S3Request) -> Reply:
        settings = await s3.router.read_settings(request.actor, request.bucket, setting.read_action)
        written = setting.write(settings)
        if not written:
            raise S3Error(setting.missing, fields={"BucketName": request.bucket})
        return Reply(200, list(setting.headers), written)

    return get


def replace_setting(setting: Setting) -> Operation:
    """PUT of a document."""

    async def put(s3: S3Context, request: S3Request) -> Reply:
        require_owner(request)
        change = setting.read(await read_document(s3, request))
        await s3.router.change_settings(request.actor, request.bucket, setting.write_action, change)
        return reply_empty(setting.put_status)

    return put


def remove_setting(setting: Setting) -> Operation:
    """DELETE of a document; also where there is none."""

    async def delete(s3: S3Context, request: S3Request) -> Reply:
        action = setting.delete_action or setting.write_action
        await s3.router.change_settings(request.actor, request.bucket, action, setting.removal)
        return reply_empty(204)

    return delete


async def get_policy_status(s3: S3Context, request: S3Request) -> Reply:
    """GetBucketPolicyStatus."""
    is_public = await s3.router.is_public(request.actor, request.bucket)
    return reply_xml(xml_write.document("PolicyStatus", xml_write.element("IsPublic", is_public)))


def _set(**values: object) -> Change:
    return lambda settings: msgspec.structs.replace(settings, **values)


def _read_policy(body: bytes) -> Change:
    try:
        return _set(policy=body.decode("utf-8"))
    except UnicodeDecodeError:
        raise S3Error("MalformedPolicy", "The policy is not valid UTF-8.") from None


def _read_block(body: bytes) -> Change:
    root = xml_read.parse_xml(body, "PublicAccessBlockConfiguration")
    values = {
        _BLOCKS[child.tag]: xml_read.read_bool(xml_read.child_text(root, child.tag))
        for child in xml_read.only_children(root, *_BLOCKS)
    }
    return _set(public_access_block=PublicAccessBlock(**values))


def _write_block(settings: BucketSettings) -> bytes:
    block = settings.public_access_block
    if block is None:
        return b""
    inner = "".join(xml_write.element(name, getattr(block, field)) for name, field in _BLOCKS.items())
    return xml_write.document("PublicAccessBlockConfiguration", inner)


def _read_ownership(body: bytes) -> Change:
    rules = list(xml_read.only_children(xml_read.parse_xml(body, "OwnershipControls"), "Rule"))
    if len(rules) != 1:
        raise S3Error("MalformedXML")
    try:
        return _set(ownership=read_ownership(xml_read.child_text(rules[0], "ObjectOwnership").strip()))
    except S3Error:
        raise S3Error("MalformedXML") from None


def _write_ownership(settings: BucketSettings) -> bytes:
    if not settings.ownership:
        return b""
    rule = xml_write.element("ObjectOwnership", settings.ownership)
    return xml_write.document("OwnershipControls", f"<Rule>{rule}</Rule>")


SETTINGS: Final = {
    "tagging": Setting(
        "BucketTagging",
        "NoSuchTagSet",
        "s3:GetBucketTagging",
        "s3:PutBucketTagging",
        lambda settings: xml_write.write_tagging(settings.tags) if settings.tags else b"",
        lambda body: _set(tags=xml_read.read_tagging(body, MAX_TAGS, "Bucket")),
        _set(tags={}),
        put_status=204,
    ),
    "cors": Setting(
        "BucketCors",
        "NoSuchCORSConfiguration",
        "s3:GetBucketCORS",
        "s3:PutBucketCORS",
        lambda settings: cors_xml.write_cors(settings.cors) if settings.cors else b"",
        lambda body: _set(cors=cors_xml.read_cors(body)),
        _set(cors=()),
    ),
    "policy": Setting(
        "BucketPolicy",
        "NoSuchBucketPolicy",
        "s3:GetBucketPolicy",
        "s3:PutBucketPolicy",
        lambda settings: settings.policy.encode(),
        _read_policy,
        _set(policy=""),
        put_status=204,
        delete_action="s3:DeleteBucketPolicy",
        headers=(("Content-Type", "application/json"),),
    ),
    "lifecycle": Setting(
        "BucketLifecycleConfiguration",
        "NoSuchLifecycleConfiguration",
        "s3:GetLifecycleConfiguration",
        "s3:PutLifecycleConfiguration",
        lambda settings: lifecycle_xml.write_lifecycle(settings.lifecycle) if settings.lifecycle else b"",
        lambda body: _set(lifecycle=lifecycle_xml.read_lifecycle(body)),
        _set(lifecycle=()),
        headers=(XML_TYPE, _LEAST_TRANSITION),
    ),
    "publicAccessBlock": Setting(
        "PublicAccessBlock",
        "NoSuchPublicAccessBlockConfiguration",
        "s3:GetBucketPublicAccessBlock",
        "s3:PutBucketPublicAccessBlock",
        _write_block,
        _read_block,
        _set(public_access_block=None),
    ),
    "ownershipControls": Setting(
        "BucketOwnershipControls",
        "OwnershipControlsNotFoundError",
        "s3:GetBucketOwnershipControls",
        "s3:PutBucketOwnershipControls",
        _write_ownership,
        _read_ownership,
        _set(ownership=""),
    ),
}
"""By sub-resource."""
