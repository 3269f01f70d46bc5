"""Notifications of changes in buckets of other servers: ``POST /-/notify/NAME``.

The body is what S3 servers send, AWS's event message structure as MinIO and Ceph have it, too:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html. The token of the datasource
comes as ``Authorization: Bearer TOKEN`` (or the token alone), or as the query parameter ``token``.
"""

from urllib.parse import unquote_plus

import msgspec
from aiohttp import web

from cellsmono.interfaces.notifications import ChangeFeed, ObjectChange
from cellsmono.kernel.errors import CellsError, Forbidden, Invalid, NotFound

FEED: web.AppKey[ChangeFeed] = web.AppKey("feed")
_STATUSES: dict[type[CellsError], int] = {NotFound: 404, Forbidden: 403, Invalid: 400}
_UNAVAILABLE = 503


class _Bucket(msgspec.Struct):
    name: str


class _Object(msgspec.Struct, rename="camel"):
    key: str
    size: int = 0
    e_tag: str = msgspec.field(name="eTag", default="")


class _Entity(msgspec.Struct):
    bucket: _Bucket
    object: _Object


class _Record(msgspec.Struct, rename="camel"):
    s3: _Entity
    event_name: str = ""


class _Message(msgspec.Struct, rename="pascal"):
    """``event`` is there in the one message without records, by which AWS tries whether anybody listens."""

    records: list[_Record] | None = None
    event: str = ""


_DECODER = msgspec.json.Decoder(_Message)


def add_notifications(app: web.Application, feed: ChangeFeed) -> None:
    """Add the route to the application of the main listener."""
    app[FEED] = feed
    app.add_routes([web.post("/-/notify/{name}", _take)])


async def _take(request: web.Request) -> web.Response:
    feed, name = request.app[FEED], request.match_info["name"]
    try:
        feed.admit(name, _read_token(request))
        changes = read_changes(await request.read())
        count = feed.take(name, changes)
    except CellsError as error:
        status = _STATUSES.get(type(error), _UNAVAILABLE)
        return web.json_response({"error": error.message}, status=status, headers={"Cache-Control": "no-store"})
    return web.json_response({"changes": len(changes), "taken": count}, headers={"Cache-Control": "no-store"})


def _read_token(request: web.Request) -> str:
    header = request.headers.get("Authorization", "")
    return header.removeprefix("Bearer ").strip() or request.query.get("token", "")


def read_changes(body: bytes) -> list[ObjectChange]:
    """The changes in a notification. Raises Invalid for what is none."""
    try:
        message = _DECODER.decode(body)
        if message.records is None and not message.event:
            raise msgspec.ValidationError("Object missing required field `Records`")
        return [_read_record(record) for record in message.records or ()]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(
            f"This is no notification of an S3 server: {error}. Send JSON with 'Records', in each 's3.bucket.name' "
            "and 's3.object.key'."
        ) from None


def _read_record(record: _Record) -> ObjectChange:
    """Keys are encoded as in a query, and a deletion may tell the ETag that was deleted."""
    key = unquote_plus(record.s3.object.key, errors="strict")
    is_there = "ObjectCreated" in record.event_name
    found = record.s3.object
    return ObjectChange(record.s3.bucket.name, key, found.size, found.e_tag if is_there else "")
