"""Datasources of every format on every kind of storage, for the suite that all of them pass."""

import secrets
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from cellsmono.data.keys.vault import Vault
from cellsmono.datasource.claims import Claims
from cellsmono.datasource.flat.blobs import Blobs
from cellsmono.datasource.flat.store import FlatStore
from cellsmono.datasource.index.memory import MemoryIndex, ignore_events
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.objects.memory import MemoryStore
from cellsmono.datasource.objects.s3.endpoint import Endpoint
from cellsmono.datasource.objects.s3.opening import make_place
from cellsmono.datasource.objects.s3.store import S3Store
from cellsmono.datasource.sealing.store import SealedStore
from cellsmono.datasource.structured import StructuredStore
from cellsmono.datasource.sync.actor import Synchronizer
from cellsmono.datasource.versions.keeper import Keeper
from cellsmono.interfaces.datasource import DatasourceConfig, Format, Markers, Watch
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.clock import SystemClock

BUCKET = "docs"
SEALED = "sealed-"


async def open_bucket(server: tuple[str, str, str], config: DatasourceConfig) -> S3Store:
    objects = S3Store("data.objects.gateway1", Endpoint(server[0], "us-east-1", *server[1:]))
    real = f"real-{secrets.token_hex(6)}"
    await objects.create_bucket(real)
    objects.add_bucket(make_place(replace(config, bucket=real), "base/"))
    return objects


@asynccontextmanager
async def open_objects(kind: str, parent: Path, config: DatasourceConfig, servers: dict):
    if kind == "memory":
        objects = MemoryStore(buckets=[BUCKET])
    elif kind in servers:
        objects = await open_bucket(servers[kind], config)
    else:
        (parent / BUCKET).mkdir(parents=True, exist_ok=True)
        objects = LocalStore("data.objects.local1", parent)
        markers = config.markers if config.format is Format.STRUCTURED else Markers.NONE
        objects.add_bucket(BUCKET, BUCKET, durability=config.durability, markers=markers)
    try:
        yield objects
    finally:
        await objects.close()


@asynccontextmanager
async def open_store(
    kind: str,
    format_: Format,
    place: Path,
    events: list,
    servers: dict | None = None,
    keeper: Keeper | None = None,
):
    """A datasource over its own storage: below ``place``, or a new bucket of one of the servers.

    A kind that begins with ``sealed-`` encrypts all content.
    """
    is_sealed = kind.startswith(SEALED)
    kind = kind.removeprefix(SEALED)
    config = DatasourceConfig(
        name=BUCKET, folder=str(place / "parent" / BUCKET), format=format_, watch=Watch.OFF, durability="relaxed"
    )
    publish = ignore_events if format_ is Format.INTERNAL else events.extend
    if kind == "memory":
        index = MemoryIndex(datasource=BUCKET, publish=publish)
    else:
        index = await SqliteIndex.open(place / "i.db", datasource=BUCKET, durability="relaxed", publish=publish)
    try:
        async with open_objects(kind, place / "parent", config, servers or {}) as objects:
            if format_ is Format.STRUCTURED:
                claims = Claims()
                sync = Synchronizer(config, objects, index, claims)
                yield StructuredStore(config, objects, objects, index, sync, claims, keeper)
                return
            if is_sealed:
                vault = Vault(place / "keys", SystemClock())
                vault.path.parent.mkdir(exist_ok=True)
                used = SealedStore(objects, BUCKET, vault)
            else:
                used = objects
            blobs = await Blobs.open(used, BUCKET, index, SystemClock(), seals=is_sealed)
            try:
                yield FlatStore(config, blobs, used, index, Claims())
            finally:
                await blobs.close()
    finally:
        await index.close()


@asynccontextmanager
async def open_versioned(kind: str, format_: Format, place: Path, events: list, servers: dict | None = None):
    """As ``open_store``; a structured datasource has a place to keep versions, which stands in ``kept`` as well."""
    if format_ is not Format.STRUCTURED:
        async with open_store(kind, format_, place, events, servers) as store:
            yield store
        return
    (place / "keeper").mkdir()
    async with open_store(kind, Format.INTERNAL, place / "keeper", [], servers) as kept:
        keeper = Keeper(lambda: kept, SystemClock())
        async with open_store(kind, format_, place, events, servers, keeper) as store:
            store.kept = kept
            yield store


PAIRS = [
    *(f"{each}-{kind}" for each in Format for kind in ("local", "memory")),
    *("structured-moto", "flat-moto", "flat-own", "internal-own"),
    *("flat-sealed-local", "flat-sealed-memory", "flat-sealed-moto", "flat-sealed-own"),
    *(f"{each}-{kind}" for each in ("structured", "flat") for kind in ("versitygw", "minio")),
]


def find_servers(request, kind: str) -> dict:
    """Address and keys of the server that this kind of storage needs, by the kind."""
    kind = kind.removeprefix(SEALED)
    if kind == "moto":
        return {kind: (request.getfixturevalue("moto_server"), "access", "secretsecret")}
    if kind in ("own", "versitygw", "minio"):
        server = request.getfixturevalue(f"{kind}_server")
        return {kind: (server.url, server.access_key, server.secret_key)}
    return {}


@pytest.fixture
def events():
    """Every event that was published, in order."""
    return []


@pytest.fixture(params=PAIRS)
async def nodes(request, tmp_path, events):
    """An empty datasource of each format on each storage."""
    format_, _, kind = request.param.partition("-")
    async with open_store(kind, Format(format_), tmp_path, events, find_servers(request, kind)) as store:
        yield store


@pytest.fixture(params=[pair for pair in PAIRS if not pair.startswith(Format.STRUCTURED)])
async def flat(request, tmp_path, events):
    """An empty datasource whose files are blobs."""
    format_, _, kind = request.param.partition("-")
    async with open_store(kind, Format(format_), tmp_path, events, find_servers(request, kind)) as store:
        yield store


@pytest.fixture(name="find_servers")
def find_servers_by_kind(request):
    """``find_servers``, by the kind alone."""
    return partial(find_servers, request)


@pytest.fixture(params=PAIRS)
async def versioned_nodes(request, tmp_path, events):
    """An empty datasource that keeps versions, of each format on each storage."""
    format_, _, kind = request.param.partition("-")
    async with open_versioned(kind, Format(format_), tmp_path, events, find_servers(request, kind)) as store:
        await store.set_versioning(Versioning.ENABLED)
        yield store


@pytest.fixture(scope="session")
def open_any_versioned():
    """``open_versioned``, for tests that open many."""
    return open_versioned


@pytest.fixture(scope="session")
def open_any():
    """``open_store``, for tests that open many."""
    return open_store
