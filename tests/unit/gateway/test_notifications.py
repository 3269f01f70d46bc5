"""What S3 servers send of changes: read as they mean it, or refused with what is wrong."""

import io
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from cellsmono.gateway.notifications import add_notifications, read_changes
from cellsmono.interfaces.notifications import ObjectChange
from cellsmono.kernel.errors import Forbidden, Invalid, NotFound, Unavailable

ETAG = "d41d8cd98f00b204e9800998ecf8427e"


def record(name, key, **more):
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-central-1",
        "eventTime": "2024-05-01T12:00:00.000Z",
        "eventName": name,
        "userIdentity": {"principalId": "EXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "Config",
            "bucket": {"name": "b", "ownerIdentity": {"principalId": "EXAMPLE"}, "arn": "arn:aws:s3:::b"},
            "object": {"key": key, "sequencer": "0A1B2C3D4E5F678901"} | more,
        },
    }


def test_a_message_of_aws():
    message = {"Records": [record("ObjectCreated:Put", "a/red+flower%21.jpg", size=1024, eTag=ETAG, versionId="v")]}
    assert read_changes(json.dumps(message).encode()) == [ObjectChange("b", "a/red flower!.jpg", 1024, ETAG)]


def test_a_message_of_minio():
    message = {
        "EventName": "s3:ObjectRemoved:Delete",
        "Key": "b/a/ü.txt",
        "Records": [record("s3:ObjectRemoved:Delete", "a%2F%C3%BC.txt", size=0, eTag=ETAG, userMetadata={"x": "y"})],
    }
    assert read_changes(json.dumps(message).encode()) == [ObjectChange("b", "a/ü.txt")], "what is gone has no content"


@pytest.mark.parametrize(
    "message",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2024-05-01T12:00:00.000Z", "Bucket": "b"},
        {"Records": []},
    ],
)
def test_a_message_that_only_tries_whether_anybody_listens(message):
    assert read_changes(json.dumps(message).encode()) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"Records": null}',
        b'{"Records": [1]}',
        b'{"Records": [{"s3": {"bucket": {}, "object": {"key": "a"}}}]}',
        b'{"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": 1}}}]}',
        b'{"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "%ff"}}}]}',
        b"\xff\xfe",
        b'{"Type": "SubscriptionConfirmation", "SubscribeURL": "https://example.org"}',
    ],
)
def test_what_is_no_notification(body):
    with pytest.raises(Invalid, match="no notification of an S3 server"):
        read_changes(body)


class Feed:
    """Takes what comes for ``docs`` with the token ``right``; ``asleep`` has the same token and does not work."""

    def __init__(self):
        self.taken = []

    def admit(self, name, token):
        if name not in ("docs", "asleep"):
            raise NotFound(f"There is no datasource {name!r}.")
        if token != "right":
            raise Forbidden("The token is not that of the datasource.")

    def take(self, name, changes):
        if name == "asleep":
            raise Unavailable("It does not work now.")
        self.taken.append((name, changes))
        return 1


@pytest.fixture
async def send():
    feed, app = Feed(), web.Application()
    add_notifications(app, feed)
    async with TestClient(TestServer(app)) as client:

        async def send(name="docs", body=b'{"Records": []}', query="", **headers):
            answer = await client.post(f"/-/notify/{name}{query}", data=io.BytesIO(body), headers=headers)
            return answer.status, await answer.text()

        send.feed = feed
        yield send


@pytest.mark.parametrize(
    "way", [{"Authorization": "Bearer right"}, {"Authorization": "right"}, {"query": "?token=right"}]
)
async def test_the_token_comes_as_servers_can_send_it(send, way):
    body = json.dumps({"Records": [record("ObjectCreated:Put", "x", size=1, eTag=ETAG)]}).encode()
    assert await send(body=body, **way) == (200, '{"changes": 1, "taken": 1}')
    assert send.feed.taken == [("docs", [ObjectChange("b", "x", 1, ETAG)])]


@pytest.mark.parametrize(
    ("status", "arguments"),
    [
        (403, {}),
        (403, {"Authorization": "Bearer wrong"}),
        (403, {"query": "?token="}),
        (403, {"Authorization": "Bearer wrong", "body": b"nonsense"}),
        (404, {"name": "other", "Authorization": "Bearer right"}),
        (400, {"Authorization": "Bearer right", "body": b"nonsense"}),
        (503, {"name": "asleep", "Authorization": "Bearer right"}),
        (413, {"Authorization": "Bearer right", "body": b" " * (2 << 20)}),
    ],
)
async def test_what_is_refused(send, status, arguments):
    answer = await send(**arguments)
    assert answer[0] == status
    assert "right" not in answer[1]
    assert send.feed.taken == []
