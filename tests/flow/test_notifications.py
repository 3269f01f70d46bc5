"""A bucket whose server tells of changes: the index follows at once, and asks the bucket about each."""

import asyncio
import json
from urllib.parse import quote_plus

import aiohttp
import pytest
import structlog

from cellsmono.datasource.objects.s3 import requests
from cellsmono.interfaces.topics import INDEX_CHANGES

TOKEN = "a-token-of-more-than-16-signs"
PATIENCE = 20.0


class Site:
    """A server whose datasource ``far`` is only compared at its start, and the bucket as other programs see it."""

    def __init__(self, server, client, session, changes):
        self.client, self._session, self._changes = client, session, changes
        self.address = server.addresses["main"]
        self.nodes = server.core.datasources.find("far")

    def put(self, key, data=b"behind"):
        return self.client.put_object(Bucket=self.client.name, Key=f"base/{key}", Body=data)["ETag"].strip('"')

    def delete(self, key):
        self.client.delete_object(Bucket=self.client.name, Key=f"base/{key}")

    async def tell(self, *told, event="ObjectCreated:Put", prefix="base/", bucket="", token=TOKEN, name="far"):
        """Send a notification as the bucket's server does; the status and what was said."""
        records = [
            {
                "eventName": event,
                "s3": {
                    "bucket": {"name": bucket or self.client.name},
                    "object": {"key": quote_plus(prefix + key)} | more,
                },
            }
            for key, more in told
        ]
        return await self.send(json.dumps({"Records": records}), token=token, name=name)

    async def send(self, body, token=TOKEN, name="far"):
        url = f"http://{self.address.host}:{self.address.port}/-/notify/{name}"
        headers = {"Authorization": f"Bearer {token}"}
        async with self._session.post(url, data=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def next_events(self, count):
        """Kind and path of the events that come next."""
        async with asyncio.timeout(PATIENCE):
            events = [await anext(self._changes) for _ in range(count)]
        return [(str(event.kind), event.path) for event in events]


@pytest.fixture
def source(behind, moto_server):
    place = {"storage": "s3", "endpoint": moto_server, "bucket": behind.name, "prefix": "base"}
    keys = {"access_key": "access", "secret_key": "secretsecret", "notify_token": TOKEN}
    return {"name": "far", "reconcile_seconds": 0.0, "full_reconcile_hours": 0.0} | place | keys


@pytest.fixture
async def site(open_it, source, make_source, behind):
    behind.put_object(Bucket=behind.name, Key="base/a/there", Body=b"there")
    async with open_it(source, make_source("near"), server=True) as server, aiohttp.ClientSession() as session:
        sync = server.core.datasources.find("far").sync
        async with asyncio.timeout(PATIENCE):
            await sync.wait_until_followed()
        with server.core.bus.subscribe(INDEX_CHANGES, "test") as changes:
            yield Site(server, behind, session, changes)


async def test_what_is_told_is_seen_at_once(site):
    site.put("a/new name+", b"12345")
    assert await site.tell(("a/new name+", {})) == (200, {"changes": 1, "taken": 1})
    assert await site.next_events(1) == [("create", "a/new name+")]
    assert (await site.nodes.read_node("a/new name+")).size == 5
    site.put("deep/er/x")
    await site.tell(("deep/er/x", {"size": 6, "eTag": "0" * 32}))
    assert await site.next_events(3) == [("create", "deep/"), ("create", "deep/er/"), ("create", "deep/er/x")]
    site.put("a/there", b"changed")
    await site.tell(("a/there", {}))
    assert await site.next_events(1) == [("update_content", "a/there")]
    site.delete("a/there")
    await site.tell(("a/there", {}), event="s3:ObjectRemoved:Delete")
    assert await site.next_events(1) == [("delete", "a/there")]


async def test_a_folder_that_others_removed(site):
    for key in ("a/there", "a/.pydio"):
        site.delete(key)
    await site.tell(("a/.pydio", {}), ("a/there", {}), event="ObjectRemoved:Delete")
    assert await site.next_events(1) == [("delete", "a/")]


async def test_a_notification_is_no_more_than_a_hint(site, monkeypatch):
    """What is told and is not so changes nothing; what the index says already is not even looked at."""
    etag = site.put("a/x", b"real")
    await site.tell(("a/never", {"size": 9, "eTag": "1" * 32}), ("a/x", {"size": 9, "eTag": "1" * 32}))
    assert await site.next_events(1) == [("create", "a/x")]
    while site.nodes.index.recall_node("a/x") is None:  # not kept while the change that made it is on its way
        assert (await site.nodes.read_node("a/x")).size == 4
    asked = []
    real = requests.ask

    async def ask(connection, operation, key="", **arguments):
        asked.append(key)
        return await real(connection, operation, key, **arguments)

    monkeypatch.setattr(requests, "ask", ask)
    await site.tell(("a/x", {"size": 4, "eTag": etag}))
    site.put("a/y")
    await site.tell(("a/there", {}), event="ObjectRemoved:Delete")
    await site.tell(("a/y", {}))
    assert await site.next_events(1) == [("create", "a/y")]
    assert "a/x" not in asked
    assert await site.nodes.index.read_node("a/there") is not None, "it was told that it is gone, and it is not"


async def test_what_is_told_of_other_places_is_left_out(site):
    assert await site.tell(("x", {}), prefix="base2/") == (200, {"changes": 1, "taken": 0})
    assert await site.tell(("x", {}), bucket="another") == (200, {"changes": 1, "taken": 0})
    assert await site.tell((".cellsmono/x", {}), ("a//b", {}), ("../x", {}), ("a/../b", {}), ("", {})) == (
        200,
        {"changes": 5, "taken": 5},
    )
    site.put("z")
    await site.tell(("z", {}))
    assert await site.next_events(1) == [("create", "z")]


async def test_who_may_tell(site):
    for token in ("another-token-than-that", "", "é" * 16):
        told = set()
        for name in ("far", "near", "unknown"):  # one with a token, one without, and none
            status, said = await site.tell(("x", {}), token=token, name=name)
            assert status == 403
            told.add(said["error"].replace(repr(name), "NAME"))
        assert len(told) == 1, "who has no token learns nothing of names"
    assert (await site.tell(("x", {}), name="near"))[0] == 403, "it has no token"
    assert (await site.tell(("x", {}), name="unknown"))[0] == 403
    status, said = await site.send("{")
    assert status == 400
    assert "notification of an S3 server" in said["error"]
    assert (await site.send('{"Event": "s3:TestEvent"}'))[0] == 200


async def test_a_token_in_a_file_counts_as_it_is_now(open_it, source, tmp_path, behind):
    file = tmp_path / "token"
    file.write_text("first-token-of-this-test\n")
    source = {key: value for key, value in source.items() if key != "notify_token"} | {"notify_token_file": str(file)}
    async with open_it(source, server=True) as server, aiohttp.ClientSession() as session:
        site = Site(server, behind, session, None)
        assert (await site.tell(token="first-token-of-this-test"))[0] == 200
        file.write_text("second-token-of-this-test\n")
        assert (await site.tell(token="first-token-of-this-test"))[0] == 403
        assert (await site.tell(token="second-token-of-this-test"))[0] == 200
        file.unlink()
        with structlog.testing.capture_logs() as lines:
            assert (await site.tell(token="second-token-of-this-test"))[0] == 403
        assert [line["file"] for line in lines if "can not be read" in line["event"]] == [str(file)]
        file.write_text("")
        assert (await site.tell(token=""))[0] == 403
