"""Object lock: the configuration of buckets, retention and legal hold of versions, and the headers about them."""

from typing import Final

import msgspec
from multidict import MultiMapping

from cellsmono.gateway.http import Reply
from cellsmono.gateway.s3 import lock_xml
from cellsmono.gateway.s3.buckets import require_owner
from cellsmono.gateway.s3.circumstances import with_asked_lock
from cellsmono.gateway.s3.dates import NS_PER_SECOND
from cellsmono.gateway.s3.errors import S3Error, invalid_argument
from cellsmono.gateway.s3.intake import read_document
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.gateway.s3.respond import reply_empty, reply_xml
from cellsmono.gateway.s3.versioning import asked_version, read_visible, version_headers
from cellsmono.interfaces.locks import Mode, ObjectLock, change_hold, change_retention
from cellsmono.interfaces.node import NodeMeta
from cellsmono.interfaces.paths import is_folder

_MODE: Final = "x-amz-object-lock-mode"
_UNTIL: Final = "x-amz-object-lock-retain-until-date"
_HOLD: Final = "x-amz-object-lock-legal-hold"
_BYPASS: Final = "x-amz-bypass-governance-retention"


async def get_configuration(s3: S3Context, request: S3Request) -> Reply:
    """GetObjectLockConfiguration."""
    rule = await s3.router.read_object_lock(request.actor, request.bucket)
    if rule is None:
        raise S3Error("ObjectLockConfigurationNotFoundError", fields={"BucketName": request.bucket})
    return reply_xml(lock_xml.write_lock_rule(rule))


async def put_configuration(s3: S3Context, request: S3Request) -> Reply:
    """PutObjectLockConfiguration: turns object lock on in a bucket with versioning, too."""
    require_owner(request)
    rule = lock_xml.read_lock_rule(await read_document(s3, request, needs_digest=True))
    await s3.router.set_object_lock(request.actor, request.bucket, rule)
    return reply_empty(200)


async def get_retention(s3: S3Context, request: S3Request) -> Reply:
    """GetObjectRetention; also of one that has ended."""
    lock, headers = await _read_lock(s3, request)
    if lock is None or not lock.mode:
        raise S3Error("NoSuchObjectLockConfiguration")
    return reply_xml(lock_xml.write_retention(lock), headers)


async def put_retention(s3: S3Context, request: S3Request) -> Reply:
    """PutObjectRetention."""
    mode, until = lock_xml.read_retention(await read_document(s3, request, needs_digest=True))
    await _require_lock(s3, request)
    if mode:
        _check_future(until, s3.clock.time_ns())
    request.actor = with_asked_lock(request.actor, ObjectLock(mode, until))

    def change(lock: ObjectLock | None, bypass: bool) -> ObjectLock:
        return change_retention(lock, mode, until, s3.clock.time_ns(), bypass=bypass)

    node = await s3.router.update_lock(
        request.actor,
        request.bucket,
        request.key,
        asked_version(request),
        change,
        "s3:PutObjectRetention",
        bypass=wants_bypass(request),
    )
    return reply_empty(200, version_headers(s3, request.bucket, node.version))


async def get_hold(s3: S3Context, request: S3Request) -> Reply:
    """GetObjectLegalHold."""
    lock, headers = await _read_lock(s3, request)
    if lock is None or not lock.hold:
        raise S3Error("NoSuchObjectLockConfiguration")
    return reply_xml(lock_xml.write_hold(lock), headers)


async def put_hold(s3: S3Context, request: S3Request) -> Reply:
    """PutObjectLegalHold."""
    hold = lock_xml.read_hold(await read_document(s3, request, needs_digest=True))
    await _require_lock(s3, request)
    request.actor = with_asked_lock(request.actor, ObjectLock(hold=hold))
    node = await s3.router.update_lock(
        request.actor,
        request.bucket,
        request.key,
        asked_version(request),
        lambda lock, _: change_hold(lock, hold),
        "s3:PutObjectLegalHold",
    )
    return reply_empty(200, version_headers(s3, request.bucket, node.version))


async def _read_lock(s3: S3Context, request: S3Request) -> tuple[ObjectLock | None, list[tuple[str, str]]]:
    await _require_lock(s3, request)
    node = await read_visible(s3, request)
    return node.meta.lock, version_headers(s3, request.bucket, node.version)


async def _require_lock(s3: S3Context, request: S3Request) -> None:
    """Raise S3Error InvalidRequest where object lock is off."""
    if s3.router.find_object_lock(request.bucket) is None:
        await s3.router.read_root(request.actor, request.bucket)
        raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")
    if is_folder(request.key):
        raise _no_folders(request.key)


def _no_folders(key: str) -> S3Error:
    return invalid_argument(
        "A key that ends in '/' is a folder here, has no versions and can not be locked.", "key", key
    )


def wants_bypass(request: S3Request) -> bool:
    """Whether a request asks to overrule retentions in GOVERNANCE mode. Raises S3Error InvalidArgument."""
    value = request.headers.get(_BYPASS, "false").lower()
    if value not in {"true", "false"}:
        raise invalid_argument("The bypass of a retention is either true or false.", _BYPASS, value)
    return value == "true"


def with_lock(
    s3: S3Context, bucket: str, key: str, meta: NodeMeta, headers: MultiMapping[str], *, needs_digest: bool = False
) -> NodeMeta:
    """The metadata together with the lock that headers of an upload ask for.

    ``needs_digest`` demands a Content-MD5 or a checksum along with them, as AWS does for PutObject. Raises S3Error
    InvalidRequest where object lock is off, InvalidArgument.
    """
    mode, until, hold = headers.get(_MODE), headers.get(_UNTIL), headers.get(_HOLD)
    if mode is None and until is None and hold is None:
        return meta
    if s3.router.find_object_lock(bucket) is None:
        raise S3Error("InvalidRequest", "Bucket is missing Object Lock Configuration")
    if is_folder(key):
        raise _no_folders(key)
    lock = ObjectLock()
    if mode is not None or until is not None:
        lock = ObjectLock(*_read_retention_headers(mode, until, s3.clock.time_ns()))
    if hold is not None:
        asked = lock_xml.as_hold(hold)
        if asked is None:
            raise invalid_argument("Legal Hold must be either of 'ON' or 'OFF'", _HOLD, hold)
        lock = msgspec.structs.replace(lock, hold=asked)
    if needs_digest and not _has_digest(headers):
        raise S3Error(
            "InvalidRequest",
            "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock"
            " parameters",
        )
    return msgspec.structs.replace(meta, lock=lock)


def _read_retention_headers(mode: str | None, until: str | None, now_ns: int) -> tuple[Mode, int]:
    if mode is None or until is None:
        name, value = (_MODE, "") if mode is None else (_UNTIL, "")
        raise invalid_argument(f"{_UNTIL} and {_MODE} must both be supplied", name, value)
    known = lock_xml.as_mode(mode)
    if known is None:
        raise invalid_argument("Unknown wormMode directive.", _MODE, mode)
    at = lock_xml.parse_until(until)
    if at is None:
        raise invalid_argument("The retain until date must be provided in ISO 8601 format", _UNTIL, until)
    _check_future(at, now_ns)
    return known, at


def _check_future(until: int, now_ns: int) -> None:
    if until * NS_PER_SECOND <= now_ns:
        raise invalid_argument("The retain until date must be in the future!", "RetainUntilDate", str(until))


def _has_digest(headers: MultiMapping[str]) -> bool:
    return any(
        name.lower() == "content-md5"
        or name.lower().startswith("x-amz-checksum-")
        or (name.lower() == "x-amz-trailer" and value.lower().startswith("x-amz-checksum-"))
        for name, value in headers.items()
    )


def lock_headers(request: S3Request, meta: NodeMeta) -> list[tuple[str, str]]:
    """What an answer says about the lock of a version; to strangers nothing, who need rights of their own for it."""
    lock = meta.lock
    if lock is None or request.actor.kind == "anonymous":
        return []
    headers = [(_MODE, lock.mode), (_UNTIL, lock_xml.format_until(lock))] if lock.mode else []
    return [*headers, (_HOLD, lock.hold)] if lock.hold else headers
