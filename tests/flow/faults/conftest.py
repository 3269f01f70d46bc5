"""The whole application in process, spoken to over its real S3 endpoint, while the world around it misbehaves."""

import asyncio
import os
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from cellsmono.app.assembly import open_server
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.router import Actor

ACCESS_KEY, SECRET_KEY = "AKFAULTSFAULTSFAULT1", "faultsecretfaultsecretfaultsecretfault01"
BUCKET = "docs"
OWNER = Actor("owner")
HIDDEN = (".pydio", ".cellsmono")


class App:
    """A running server over one folder, with an S3 client that asks once."""

    def __init__(self, server, folder):
        self.server, self.core, self.folder = server, server.core, folder
        address = server.addresses["s3"]
        config = Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            read_timeout=30,
            signature_version="s3v4",
        )
        self.url = f"http://{address.host}:{address.port}"
        self.client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
            config=config,
        )

    @property
    def store(self):
        return self.core.datasources.triple(BUCKET).store

    @property
    def sync(self):
        return self.store.sync

    async def s3(self, method, **arguments):
        """One request; answers as boto3 gives them."""
        return await asyncio.to_thread(getattr(self.client, method), Bucket=BUCKET, **arguments)

    async def put(self, key, body=b"data"):
        return await self.s3("put_object", Key=key, Body=body)

    async def read(self, key):
        answer = await self.s3("get_object", Key=key)
        return await asyncio.to_thread(answer["Body"].read)

    async def refused(self, method, **arguments):
        """Status, code and message of a request that must fail."""
        with pytest.raises(ClientError) as caught:
            await self.s3(method, **arguments)
        answer = caught.value.response
        return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"], answer["Error"].get("Message", "")

    async def keys(self):
        page = await self.store.index.list_keys(limit=100_000)
        return [node.path for node in page.entries]

    async def service(self, part="sync"):
        """The row that ``ps`` and ``/readyz`` show."""
        rows = await self.core.installation.list_services()
        return next(row for row in rows if row.name == f"data.{part}.{BUCKET}")

    async def show(self):
        """What ``ds show`` knows."""
        return await self.core.installation.read_datasource(BUCKET)

    def temporaries(self):
        """Files and uploads that wait in the work folders."""
        places = (self.folder.parent / ".cellsmono", self.folder / ".cellsmono")
        return sorted(p.name for place in places if place.is_dir() for p in place.rglob("t-*"))

    def disk(self):
        """Content of every file that users see."""
        found = {}
        for at, folders, files in os.walk(self.folder):
            folders[:] = [name for name in folders if name not in HIDDEN]
            for name in files:
                if name not in HIDDEN:
                    path = Path(at, name)
                    found[path.relative_to(self.folder).as_posix()] = path.read_bytes()
        return found

    async def check_equal(self):
        """The index is valid and says what the disk has, after one quick comparison at most."""
        await self.sync.resync()
        assert await self.store.index.verify() == []
        assert [key for key in await self.keys() if not key.endswith("/")] == sorted(self.disk(), key=str.encode)


@pytest.fixture
def open_app(tmp_path):
    """``async with open_app(folder=..., data=..., watch="off", ...) as app``."""

    @asynccontextmanager
    async def start(folder=None, data=None, clock=None, sections="", **source):
        folder = folder or tmp_path / "parent" / BUCKET
        data = data or tmp_path / "data"
        for made in (folder, data):
            made.mkdir(parents=True, exist_ok=True)
        settings = {"name": BUCKET, "folder": str(folder), "watch": "off", "reconcile_seconds": 3600.0} | source
        if settings.get("storage") == "s3":
            del settings["folder"]
        lines = ["[server]", 'listen = "127.0.0.1:0"', "default_datasources = false"]
        lines += ["[s3]", 'listen = "127.0.0.1:0"', sections, "[[datasource]]"]
        lines += [
            f"{key} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
            for key, value in settings.items()
        ]
        file = tmp_path / "config.toml"
        file.write_text("\n".join(lines))
        environ = {
            "HOME": str(tmp_path),
            "CELLSMONO_OWNER_ACCESS_KEY": ACCESS_KEY,
            "CELLSMONO_OWNER_SECRET_KEY": SECRET_KEY,
        }
        flags = {"server.data_dir": (str(data), "--data-dir")}
        async with open_server(load_config(flags, config_file=str(file), environ=environ), clock=clock) as server:
            app = App(server, folder)
            try:
                if not app.core.datasources.failure(BUCKET) and app.sync is not None:
                    await app.sync.wait_until_followed()
                yield app
            finally:
                app.client.close()

    return start


@pytest.fixture
def mount_small(tmp_path):
    """``mount_small(bytes)``: a folder that is a file system of that size; unmounted after the test."""
    mounted = []

    def mount(size, place=None, options=""):
        place = place or tmp_path / f"disk{len(mounted)}"
        place.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}{options}", "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"a tmpfs can not be mounted here: {done.stderr.strip()}")
        mounted.append(place)
        return place

    yield mount
    for place in reversed(mounted):
        subprocess.run(["umount", "-l", str(place)], capture_output=True)


@pytest.fixture
def bucket():
    return BUCKET
