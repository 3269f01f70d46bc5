"""A server that is away when the process starts: its datasources say so, the others are served, and it comes back."""

import asyncio

import pytest

from cellsmono.datasource import revival
from cellsmono.datasource.flat.checking import check_blobs
from cellsmono.kernel.clock import SystemClock
from cellsmono.kernel.errors import Unavailable
from cellsmono.kernel.service import ServiceState

AWAY = [
    ("reset", "does not answer"),
    ("hang", "not answered"),
    ((503, "SlowDown"), "too much to do"),
    ((403, "InvalidAccessKeyId"), "access key"),
    ((404, "NoSuchBucket"), "not on the server"),
]


@pytest.fixture(autouse=True)
def _impatience(monkeypatch):
    monkeypatch.setattr(revival, "FIRST_SECONDS", 60.0)
    monkeypatch.setattr(revival, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(revival, "LONGEST_PAUSE", 0.05)


@pytest.fixture
def source(proxy, behind, tmp_path):
    """A flat datasource in a bucket, and one in a folder."""
    (tmp_path / "near").mkdir()
    near = f'[[datasource]]\nname = "near"\nfolder = "{tmp_path}/near"\nwatch = "off"'
    keys = {"access_key": "access", "secret_key": "secretsecret"}
    far = {"format": "flat", "storage": "s3", "endpoint": proxy.url, "bucket": behind.name, **keys}
    return {**far, "sections": near}


@pytest.mark.parametrize(("fault", "said"), AWAY, ids=[str(fault) for fault, _ in AWAY])
async def test_a_flat_datasource_is_offline_with_a_reason_and_comes_back_by_itself(
    open_app, source, proxy, fault, said, monkeypatch
):
    async with open_app(**source) as app:
        await app.put("a//b", b"kept")
        uuid = (await app.store.read_node("a//b")).uuid
    proxy.always = fault
    if fault == "hang":  # the others are told at once, however busy the machine is
        monkeypatch.setattr(revival, "FIRST_SECONDS", 0.5)
        source["request_seconds"] = 6.0
    async with open_app(**source) as app:
        info = await app.show()
        assert (info.state, info.error.count(said)) == (ServiceState.FAILED, 1), info.error
        status, code, message = await app.refused("get_object", Key="a//b")
        assert (status, code) == (503, "ServiceUnavailable")
        assert said in message
        assert (await app.refused("put_object", Key="new", Body=b"x"))[0] == 503
        await asyncio.to_thread(app.client.put_object, Bucket="near", Key="x", Body=b"near")
        names = {bucket["Name"] for bucket in (await asyncio.to_thread(app.client.list_buckets))["Buckets"]}
        assert "near" in names
        proxy.mend()
        await app.core.datasources.revival.settled("docs")
        assert await app.read("a//b") == b"kept"
        assert (await app.store.read_node("a//b")).uuid == uuid
        await app.put("new", b"new")
        assert (await app.show()).state is ServiceState.READY
        assert (await check_blobs(app.store, SystemClock(), grace_seconds=0.0)).counts == {}


async def test_a_bucket_that_another_process_holds_is_taken_once_it_is_given_back(open_app, source, tmp_path):
    async with open_app(**source) as first:
        await first.put("x", b"1")
        del source["sections"]
        async with open_app(data=tmp_path / "second", folder=tmp_path / "none" / "docs", **source) as second:
            assert "held by another process" in (await second.show()).error
            first.core.datasources.objects("docs").forget_bucket("docs")
            await second.core.datasources.revival.settled("docs")
            assert (await second.show()).state is ServiceState.READY


async def test_one_that_is_away_can_be_removed_and_the_process_ends(open_app, source, proxy, monkeypatch):
    monkeypatch.setattr(revival, "FIRST_SECONDS", 0.2)
    proxy.always = "hang"
    async with open_app(**source) as app:
        await app.core.datasources.close("docs")
        assert [config.name for config in app.core.datasources.configs()] == ["near"]
        rows = [row.name for row in await app.core.installation.list_services()]
        assert not [name for name in rows if name.endswith(".docs") or "gateway1" in name]
    async with open_app(**source) as app:
        with pytest.raises(Unavailable):
            app.core.datasources.triple("docs")


async def test_a_wrong_configuration_is_not_tried_again(open_app, source, proxy):
    async with open_app(**{**source, "ca_file": "/nowhere.pem"}) as app:
        assert "ca_file" in (await app.show()).error
        await app.core.datasources.revival.settled("docs")
    assert proxy.seen == []
