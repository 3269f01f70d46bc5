"""What S3 servers send of changes: read as they mean it, or refused with what is wrong."""

import io
import json

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from cellsmono.gateway.notification_messages import read_message
from cellsmono.gateway.notifications import add_notifications
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


def read_changes(message):
    told = read_message(json.dumps(message).encode())
    assert told.confirmation is None
    return list(told.changes)


def test_a_message_of_aws():
    message = {"Records": [record("ObjectCreated:Put", "a/red+flower%21.jpg", size=1024, eTag=ETAG, versionId="v")]}
    assert read_changes(message) == [ObjectChange("b", "a/red flower!.jpg", 1024, ETAG)]


def of_minio(event, key, **more):
    """A message as a MinIO of 2026 sends it."""
    record = {
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "awsRegion": "",
        "eventTime": "2026-12-01T02:52:59.668Z",
        "eventName": event,
        "userIdentity": {"principalId": "minioadmin"},
        "requestParameters": {"principalId": "minioadmin", "region": "", "sourceIPAddress": "127.0.0.1"},
        "responseElements": {
            "x-amz-id-2": "470a0afc0f6fdbebb6a8e14ece29122784c0656e19563387135a7c8e02feb163",
            "x-amz-request-id": "18ED019837006525",
            "x-minio-deployment-id": "c7793acd-86c7-41d0-abda-3c63da25b5ff",
            "x-minio-origin-endpoint": "http://127.0.0.1:19000",
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "Config",
            "bucket": {
                "name": "company",
                "ownerIdentity": {"principalId": "minioadmin"},
                "arn": "arn:aws:s3:::company",
            },
            "object": {"key": key, "sequencer": "18ED019837134650"} | more,
        },
        "source": {"host": "127.0.0.1", "port": "", "userAgent": "MinIO (linux; amd64) minio-go/v7.0.0 mc/2026"},
    }
    return {"EventName": event, "Key": "company/photos/a b+ü/new.txt", "Records": [record]}


KEY = "photos%2Fa+b%2B%C3%BC%2Fnew.txt"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            of_minio(
                "s3:ObjectCreated:Put",
                KEY,
                size=5,
                eTag=ETAG,
                contentType="binary/octet-stream",
                userMetadata={"content-type": "binary/octet-stream"},
            ),
            ObjectChange("company", "photos/a b+ü/new.txt", 5, ETAG),
        ),
        (
            of_minio("s3:ObjectCreated:CompleteMultipartUpload", "photos%2Fbig", size=1, eTag=ETAG + "-1"),
            ObjectChange("company", "photos/big", 1, ETAG + "-1"),
        ),
        (of_minio("s3:ObjectRemoved:Delete", KEY), ObjectChange("company", "photos/a b+ü/new.txt")),
        (of_minio("s3:ObjectRemoved:Delete", KEY, eTag=ETAG), ObjectChange("company", "photos/a b+ü/new.txt")),
    ],
)
def test_a_message_of_minio(message, expected):
    assert read_changes(message) == [expected], "what is gone has no content"


def test_a_message_of_ceph():
    message = {"Records": [record("ObjectCreated:Put", "x", size="1024", eTag=ETAG, versionId="", metadata=[])]}
    assert read_changes(message) == [ObjectChange("b", "x", 1024, ETAG)]


def test_a_message_that_sns_wraps():
    inner = {"Records": [record("ObjectCreated:Put", "a+b", size=1, eTag=ETAG)]}
    wrapped = {"Type": "Notification", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Message": json.dumps(inner)}
    assert read_changes(wrapped) == [ObjectChange("b", "a b", 1, ETAG)]
    test = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}
    assert read_changes(wrapped | {"Message": json.dumps(test)}) == []
    for message in ("hello", "", json.dumps(wrapped)):
        with pytest.raises(Invalid):
            read_changes(wrapped | {"Message": message})


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("Object Created", ETAG), ("Object Deleted", ""), ("Object Tags Added", "")],
)
def test_a_message_of_eventbridge(kind, expected):
    """Its keys are as they are."""
    thing = {"key": "a b+%20.txt", "size": 5, "etag": ETAG, "version-id": "v", "sequencer": "1"}
    message = {
        "version": "0",
        "id": "17793124-05d4-b198-2fde-7ededc63b103",
        "detail-type": kind,
        "source": "aws.s3",
        "account": "111122223333",
        "time": "2021-11-12T00:00:00Z",
        "region": "ca-central-1",
        "resources": ["arn:aws:s3:::b"],
        "detail": {"version": "0", "bucket": {"name": "b"}, "object": thing, "reason": "PutObject"},
    }
    assert read_changes(message) == [ObjectChange("b", "a b+%20.txt", 5, expected)]


@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
@pytest.mark.parametrize(
    ("url", "is_aws"),
    [
        ("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=x", True),
        ("https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription", True),
        ("http://sns.eu-west-1.amazonaws.com/", False),
        ("https://sns.bucket.s3.amazonaws.com/", False),
        ("https://sns.eu-west-1.amazonaws.com@example.org/", False),
        ("https://sns.eu-west-1.amazonaws.com.example.org/", False),
        ("https://169.254.169.254/", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_a_subscription_that_is_to_be_confirmed(kind, url, is_aws):
    body = {"Type": kind, "TopicArn": "arn:aws:sns:eu-west-1:1:t", "Token": "x", "Message": "m", "SubscribeURL": url}
    told = read_message(json.dumps(body).encode())
    assert told.changes == ()
    assert (told.confirmation.kind, told.confirmation.url) == (kind, url)
    assert told.confirmation.is_aws is is_aws


@pytest.mark.parametrize(
    "message",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2024-05-01T12:00:00.000Z", "Bucket": "b"},
        {"Records": []},
    ],
)
def test_a_message_that_only_tries_whether_anybody_listens(message):
    assert read_changes(message) == []


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
        b'{"Records": [{"s3": {"bucket": {"name": "b"}, "object": {"key": "a", "size": "much"}}}]}',
        b'{"Type": "Notification"}',
        b'{"detail-type": "Object Created", "detail": {"bucket": {"name": "b"}}}',
    ],
)
def test_what_is_no_notification(body):
    with pytest.raises(Invalid, match="no notification of an S3 server"):
        read_message(body)


class Feed:
    """Takes what comes for ``docs`` with the token ``right``; ``asleep`` has the same token and does not work."""

    def __init__(self):
        self.taken = []

    def admit(self, name, token):
        if name not in ("docs", "asleep", "gone") or token != "right":
            raise Forbidden("The token is not that of the datasource.")

    def take(self, name, changes):
        if name == "gone":
            raise NotFound(f"There is no datasource {name!r}.")
        if name == "asleep":
            raise Unavailable("It does not work now.")
        self.taken.append((name, list(changes)))
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
        (403, {"name": "other", "Authorization": "Bearer right"}),
        (404, {"name": "gone", "Authorization": "Bearer right"}),
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


async def test_a_subscription_is_told_of_and_no_url_is_opened(send):
    url = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"
    body = {"Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:eu-west-1:1:t", "SubscribeURL": url}
    with structlog.testing.capture_logs() as lines:
        status, answer = await send(body=json.dumps(body).encode(), Authorization="Bearer right")
    assert status == 200
    assert "opens no URLs" in answer
    assert [(line["url"], "open the URL once" in line["hint"]) for line in lines] == [(url, True)]
    assert send.feed.taken == []
    assert (await send(body=json.dumps(body).encode()))[0] == 403
