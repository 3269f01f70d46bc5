"""A whole application in process with one datasource, which goes from place to place."""

import asyncio
import secrets
from contextlib import asynccontextmanager
from urllib.parse import unquote_plus

import boto3
import pytest
from botocore.config import Config

from cellsmono.app.assembly import open_server
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.datasource import DatasourceConfig, Format, Storage, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.migration import MigrationAction, MigrationOptions
from cellsmono.interfaces.node import FolderKind, NodeMeta
from cellsmono.interfaces.sync import SyncState

NAME = "docs"
ACCESS_KEY, SECRET_KEY = "AKMIGRATEMIGRATE0001", "migratesecretmigratesecretmigratesecret1"


class Site:
    """A data folder, and places below ``root``; ``config`` is what the datasource is added with."""

    def __init__(self, root, format_=Format.STRUCTURED, **remote) -> None:
        self.root = root
        self.source = root / "source"
        self.target = root / "target"
        self.data = root / "data"
        self.data.mkdir()
        self.file = root / "config.toml"
        self.configured = ""
        self.far = bool(remote)
        """Whether another server takes part."""
        if remote:
            self.config = DatasourceConfig(
                name=NAME, storage=Storage.S3, format=format_, watch="off", hash_content=False, **remote
            )
        else:
            self.source.mkdir()
            self.config = DatasourceConfig(
                name=NAME, folder=str(self.source), format=format_, watch="off", hash_content=False
            )

    @asynccontextmanager
    async def open(self):
        """The running application; the datasource is added when it is new."""
        self.file.write_text(
            '[server]\nlisten = "off"\ndefault_datasources = false\n'
            f'[s3]\nlisten = "127.0.0.1:0"\n[owner]\naccess_key = "{ACCESS_KEY}"\n'
            f'secret_key = "{SECRET_KEY}"\n{self.configured}'
        )
        flags = {"server.data_dir": (str(self.data), "--data-dir")}
        loaded = load_config(flags, config_file=str(self.file), environ={"HOME": str(self.root)})
        async with open_server(loaded) as server:
            app = App(self, server)
            if NAME not in {info.config.name for info in await app.operations.list_datasources()}:
                await app.operations.add_datasource(self.config)
            await app.settle()
            yield app


class App:
    """The application while it runs."""

    def __init__(self, site, server) -> None:
        self.site = site
        self.core = server.core
        self.operations = server.operations
        address = server.addresses["s3"]
        self.url = f"http://{address.host}:{address.port}"

    @property
    def triple(self):
        return self.core.datasources.triple(NAME)

    @property
    def store(self):
        return self.triple.store

    async def settle(self):
        """Wait for the first comparison."""
        if self.core.datasources.failure(NAME):
            return
        sync = self.store.sync
        if sync is not None:
            await sync.wait_for_state(SyncState.WATCHING)

    async def put(self, path, data=b"data", mtime_ns=None, **meta):
        options = WriteOptions(meta=NodeMeta(**meta), mtime_ns=mtime_ns)
        return await self.store.put_node(path, _one(data), PlainDigest(), options)

    async def read(self, path):
        opened = await self.store.open_node(path)
        try:
            return await opened.reader.read(0, 1 << 30)
        finally:
            opened.reader.close()

    async def upload(self, path, *parts):
        """An upload in parts; small ones, as the server's own store takes them."""
        upload = await self.store.create_upload(path, b"")
        stored = [
            await self.store.put_part(upload.upload_id, number, _one(data), PartMd5(), len(data))
            for number, data in enumerate(parts, start=1)
        ]
        meta = WriteOptions(meta=NodeMeta(user={"made": "in parts"}))
        return await self.store.complete_upload(upload.upload_id, stored, f"{'ab' * 16}-{len(parts)}", meta)

    async def migrate(
        self, action=MigrationAction.RUN, format_=None, target="", *, move=False, progress=None, **values
    ):
        options = MigrationOptions(action, format_, str(target), values, move)
        report = await self.operations.migrate(NAME, options, progress)
        await self.settle()
        return report

    async def seed(self):
        """A tree with everything that may go wrong."""
        day = 1_700_000_000_123_456_789
        await self.put("a/b/one.txt", b"one", user={"author": "me"}, content_type="text/x", tags={"t": "1"})
        await self.put("a/two.txt", b"two!", mtime_ns=day)
        await self.put("zero", b"", mtime_ns=day + 1)
        await self.put("big.bin", secrets.token_bytes(3_000_001))
        odd = "odd/ü $ # % \u201b" + ("" if self.site.far else " \n.txt")  # moto can not take every key
        await self.put(odd, b"odd", headers={"cache-control": "no-store"})
        await self.put("odd/" + "n" * 255, b"long")
        await self.store.create_folder("empty/inside/")
        await self.store.create_folder("marker/", FolderKind.MARKER, NodeMeta(user={"is": "a marker"}))
        await self.put("marker/child", b"child")
        await self.upload("parts.bin", b"first part", b"second part")
        await self.put("replaced", b"old")
        await self.put("replaced", b"new content")

    async def tree(self):
        """Everything that users see of the datasource: nodes, content, and the listing over S3."""
        found, folders = {}, [""]
        index = self.triple.index
        while folders:
            for node in await index.list_children(folders.pop(), limit=10_000):
                found[node.path] = (
                    node.uuid, node.size, node.kind, node.meta,
                    "" if node.is_folder else node.effective_etag,
                    0 if node.is_folder else node.mtime_ns,
                    b"" if node.is_folder else await self.read(node.path),
                )  # fmt: skip
                if node.is_folder:
                    folders.append(node.path)
        return found

    async def list_keys(self):
        """What S3 clients see: keys, ETags, sizes, times, and the metadata of each."""
        return await asyncio.to_thread(self._list_keys)

    def _list_keys(self):
        client = boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1", config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip
        found = []
        for entry in client.list_objects_v2(Bucket=NAME, EncodingType="url")["Contents"]:
            head = client.head_object(Bucket=NAME, Key=unquote_plus(entry["Key"]))
            told = {
                name: head.get(name) for name in ("ContentType", "CacheControl", "Metadata", "LastModified", "ETag")
            }
            found.append((entry["Key"], entry["ETag"], entry["Size"], entry["LastModified"], told))
        client.close()
        return found

    async def changes(self):
        return (await self.triple.index.stats()).last_sequence

    async def check_well(self):
        """Index and storage agree, and the datasource takes writes."""
        report = await self.operations.check(NAME)
        assert report.is_fine, report
        await self.put("after/all.txt", b"written later")
        assert await self.read("after/all.txt") == b"written later"
        await self.store.delete_node("after/all.txt")


class PartMd5(PlainDigest):
    """As the gateway hashes parts."""


async def _one(data):
    yield data


@pytest.fixture
def make_site(tmp_path):
    """Makes a site; its datasource lies in a folder unless a bucket is described."""
    return lambda *args, **kwargs: Site(tmp_path, *args, **kwargs)


@pytest.fixture
def far_bucket(moto_server):
    """A bucket of another server, and what a datasource says to be in it."""
    name = f"migrate-{secrets.token_hex(6)}"
    client = boto3.client(
        "s3", endpoint_url=moto_server, aws_access_key_id="a", aws_secret_access_key="b" * 20, region_name="us-east-1"
    )
    client.create_bucket(Bucket=name)
    yield {"endpoint": moto_server, "bucket": name, "access_key": "access", "secret_key": "secretsecret"}
    client.close()
