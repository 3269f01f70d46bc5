"""What S3 servers send of changes in their buckets, in the forms that it comes in.

- AWS's event message, which MinIO and Ceph send, too: ``Records``, each with a bucket and a key as in a query.
  https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
- The same wrapped by SNS (``Type``, ``Message``), and the questions that SNS asks about a subscription.
  https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
- EventBridge's event (``detail-type``, ``detail``), whose keys are as they are.
  https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
- ``s3:TestEvent``, by which AWS tries whether anybody listens.
"""

import re
from typing import Any, Final
from urllib.parse import unquote_plus, urlsplit

import msgspec

from cellsmono.interfaces.notifications import ObjectChange
from cellsmono.kernel.errors import Invalid

_CONFIRMATIONS: Final = frozenset({"SubscriptionConfirmation", "UnsubscribeConfirmation"})
_LONGEST_URL: Final = 2048
_SNS_HOST: Final = re.compile(r"sns\.[a-z0-9-]+\.amazonaws\.com(\.cn)?")


class Confirmation(msgspec.Struct, frozen=True):
    """SNS asks whether a subscription (``kind``) is meant; whoever opens ``url`` says so.

    ``is_aws``: the URL leads to AWS, as far as its host's name tells.
    """

    kind: str
    topic: str
    url: str
    is_aws: bool


class Told(msgspec.Struct, frozen=True):
    """What a message says: changes, or that something is to be confirmed."""

    changes: tuple[ObjectChange, ...] = ()
    confirmation: Confirmation | None = None


class _Bucket(msgspec.Struct):
    name: str


class _Object(msgspec.Struct):
    """``size`` is a text at some servers; the ETag is ``etag`` at EventBridge."""

    key: str
    size: int | str = 0
    etag_of_record: str = msgspec.field(name="eTag", default="")
    etag_of_detail: str = msgspec.field(name="etag", default="")


class _Entity(msgspec.Struct):
    bucket: _Bucket
    object: _Object


class _Record(msgspec.Struct, rename="camel"):
    s3: _Entity
    event_name: str = ""


class _Message(msgspec.Struct, rename="pascal"):
    """``event`` is there in a test, ``type`` in what SNS sends, ``detail`` in what EventBridge sends."""

    records: list[_Record] | None = None
    event: str = ""
    type: str = ""
    message: str = ""
    topic_arn: str = ""
    subscribe_url: str = msgspec.field(name="SubscribeURL", default="")
    detail: _Entity | None = msgspec.field(name="detail", default=None)
    detail_type: str = msgspec.field(name="detail-type", default="")


_DECODER: Final = msgspec.json.Decoder(_Message)


def read_message(body: bytes) -> Told:
    """What a message says. Raises Invalid for what is none."""
    try:
        message = _DECODER.decode(body)
        if message.type == "Notification" and message.records is None:
            message = _DECODER.decode(message.message)
        elif message.type in _CONFIRMATIONS:
            return Told(confirmation=_read_confirmation(message))
        return Told(tuple(_read_changes(message)))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(
            f"This is no notification of an S3 server: {error}. Send JSON with 'Records', in each 's3.bucket.name' "
            "and 's3.object.key'."
        ) from None


def _read_changes(message: _Message) -> list[ObjectChange]:
    if message.detail is not None:
        found = message.detail.object
        is_there = message.detail_type == "Object Created"
        return [_make_change(message.detail, found.key, found.etag_of_detail if is_there else "")]
    if message.records is None and not message.event:
        raise msgspec.ValidationError("Object missing required field `Records`")
    return [_read_record(record) for record in message.records or ()]


def _read_record(record: _Record) -> ObjectChange:
    """Keys are encoded as in a query, and a deletion may tell the ETag that was deleted."""
    found = record.s3.object
    key = unquote_plus(found.key, errors="strict")
    return _make_change(record.s3, key, found.etag_of_record if "ObjectCreated" in record.event_name else "")


def _make_change(entity: _Entity, key: str, etag: str) -> ObjectChange:
    return ObjectChange(entity.bucket.name, key, _read_size(entity.object.size), etag)


def _read_size(size: Any) -> int:
    try:
        return int(size)
    except ValueError:
        raise msgspec.ValidationError("Expected a number of bytes - at `$.Records[...].s3.object.size`") from None


def _read_confirmation(message: _Message) -> Confirmation:
    url = message.subscribe_url[:_LONGEST_URL]
    return Confirmation(message.type, message.topic_arn, url, _is_aws(url))


def _is_aws(url: str) -> bool:
    """Whether a URL leads to SNS itself: names of buckets end in ``amazonaws.com`` as well."""
    try:
        parts = urlsplit(url)
        return parts.scheme == "https" and _SNS_HOST.fullmatch(parts.hostname or "") is not None
    except ValueError:
        return False
