"""Response headers about lifecycle rules: when an object or an upload in parts will go, and by which rule."""

from urllib.parse import quote

from cellsmono.gateway.s3.dates import NS_PER_SECOND, format_http
from cellsmono.gateway.s3.request import S3Context, S3Request
from cellsmono.interfaces.lifecycle import Expiry, find_abort, find_expiry
from cellsmono.interfaces.node import Node
from cellsmono.interfaces.objects import Upload


def expiration_headers(s3: S3Context, request: S3Request, node: Node) -> list[tuple[str, str]]:
    """``x-amz-expiration`` where a rule applies to the object."""
    settings = s3.router.find_settings(request.bucket)
    if settings is None or not settings.lifecycle:
        return []
    expiry = find_expiry(settings.lifecycle, node, s3.settings.day_seconds)
    if expiry is None:
        return []
    return [("x-amz-expiration", f'expiry-date="{_format(expiry)}", rule-id="{quote(expiry.rule)}"')]


def abort_headers(s3: S3Context, request: S3Request, upload: Upload) -> list[tuple[str, str]]:
    """``x-amz-abort-date`` and ``x-amz-abort-rule-id`` where a rule applies to the upload."""
    settings = s3.router.find_settings(request.bucket)
    if settings is None or not settings.lifecycle:
        return []
    initiated = upload.initiated_ns / NS_PER_SECOND
    expiry = find_abort(settings.lifecycle, upload.key, initiated, s3.settings.day_seconds)
    if expiry is None:
        return []
    return [("x-amz-abort-date", _format(expiry)), ("x-amz-abort-rule-id", quote(expiry.rule))]


def _format(expiry: Expiry) -> str:
    return format_http(int(expiry.at) * NS_PER_SECOND)
