"""The files of a flat datasource in a bucket, written plainly from what lies in the bucket alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cellsmono.app.config_sources import read_datasource
from cellsmono.app.export import export_datasource
from cellsmono.kernel.errors import Invalid, NotFound, Unavailable

KEYS = {"plain.txt": b"plain", "a/b/deep": b"deep", "a//b": b"an empty part", "empty": b"", "large": bytes(3_000_001)}


def ignore(progress):
    """Nobody looks."""


def read_files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
async def store(site, far):
    """A bucket that holds a flat store and a snapshot of it, and nothing else is left."""
    site.settings = {"format": "flat"}
    async with site.open() as core:
        for key, data in KEYS.items():
            await site.put(core, key, data, user={"of": "me"})
        await core.installation.dump_snapshot("docs", "first.db")
        site.clock.advance(1)
        await site.put(core, "later", b"later")
        await core.installation.dump_snapshot("docs", "second.db")
    for path in site.folder.rglob("*"):
        if path.is_file():
            far.write_object(path.relative_to(site.folder).as_posix(), path.read_bytes())
    for path in site.snapshots.iterdir():
        far.write_object(f".cellsmono/snapshots/{path.name}", path.read_bytes())
    return far


def place_of(far, **more):
    return read_datasource(far.settings | {"name": "docs", "format": "flat"} | more, "test", Path("/"))


async def test_the_newest_snapshot_in_the_bucket_and_the_blobs_are_enough(store):
    before = store.list_keys()
    report = await export_datasource(place_of(store), "", store.root / "out", ignore)
    found = read_files(store.root / "out")
    assert sorted(found.values()) == sorted([*KEYS.values(), b"later"])
    assert (report.files, report.missing_total, report.differing_total) == (len(KEYS) + 1, 0, 0)
    assert found["a/b/deep"] == b"deep"
    report = await export_datasource(place_of(store), "first.db", store.root / "first", ignore)
    assert report.files == len(KEYS)
    assert store.list_keys() == before, "nothing is changed there"


async def test_missing_and_altered_blobs_are_named(store):
    by_content = {store.read_object(key): key for key in store.list_keys()}
    store.remove_object(by_content[b"plain"])
    store.write_object(by_content[b"deep"], b"DEEP")
    report = await export_datasource(place_of(store), "", store.root / "out", ignore)
    assert (report.missing, report.differing) == (("plain.txt",), ("a/b/deep",))


async def test_what_is_no_flat_store_or_not_there_is_refused(store, monkeypatch):
    monkeypatch.setattr("cellsmono.datasource.objects.s3.patience.ATTEMPTS", 1)
    for more, kind, said in (
        ({"prefix": "elsewhere"}, Invalid, "no flat store"),
        ({"bucket": "no-such-bucket"}, Unavailable, "bucket"),
        ({"endpoint": "http://127.0.0.1:9"}, Unavailable, "endpoint"),
    ):
        with pytest.raises(kind, match=said):
            await export_datasource(place_of(store, **more), "", store.root / "out", ignore)
    for key in store.list_keys(".cellsmono/"):
        store.remove_object(key)
    with pytest.raises(NotFound, match="--snapshot"):
        await export_datasource(place_of(store), "", store.root / "out", ignore)
    assert not (store.root / "out").exists()


def test_the_command_finds_everything_in_the_bucket(store):
    """By name from the configuration, and by place without any; the server and the data folder are not asked."""

    def run(*arguments, **environment):
        command = [sys.executable, "-m", "cellsmono", "ds", "export", *map(str, arguments), "-o", "json"]
        environment = {**os.environ, "HOME": str(store.root), "CELLSMONO_DATA_DIR": "/notfound", **environment}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, input="hush-hush\n")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["files"]

    endpoint = ("--endpoint", store.settings["endpoint"])
    blobs = ("--blobs", f"s3://{store.bucket}/{store.prefix}", *endpoint)
    keys = {"AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "hush-hush"}
    assert run(*blobs, store.root / "one", **keys) == len(KEYS) + 1
    assert run(*blobs, "--access-key", "access", store.root / "two", "--basename", "first.db") == len(KEYS)
    lines = [f"{name} = {value!r}" for name, value in store.settings.items() if value]
    (store.root / "config.toml").write_text("\n".join(["[[datasource]]", 'name = "docs"', *lines]))
    assert run("docs", store.root / "three", "--config", store.root / "config.toml") == len(KEYS) + 1
