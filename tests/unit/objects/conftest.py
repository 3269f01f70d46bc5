"""Helpers for the tests of the local object service."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cellsmono.datasource.objects.local import LocalStore
from cellsmono.interfaces.datasource import Durability, Symlinks

Put = Callable[..., Awaitable[Any]]


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalStore]:
    """A durable bucket ``docs`` and one that follows links, ``inside``."""
    store = LocalStore("data.objects.local1", tmp_path)
    for name in ("docs", "inside"):
        (tmp_path / name).mkdir()
        store.add_bucket(name, name, symlinks=Symlinks.INSIDE if name == "inside" else Symlinks.IGNORE)
    yield store
    await store.close()


@pytest.fixture
def put() -> Put:
    """``await put(store, key, data, bucket=...)``."""

    async def put_object(
        store: LocalStore, key: str, data: bytes = b"data", bucket: str = "docs", **options: Any
    ) -> Any:
        async def body() -> AsyncIterator[bytes]:
            for at in range(0, len(data), 50_000):
                yield data[at : at + 50_000]

        return await store.commit(await store.stage(bucket, body()), key, **options)

    return put_object


@pytest.fixture
def work_files() -> Callable[[Path], list[str]]:
    """Names of all files in work folders below a path."""

    def list_files(parent: Path) -> list[str]:
        return sorted(p.name for p in parent.rglob("*") if p.is_file() and ".cellsmono" in p.parts)

    return list_files


@pytest.fixture
def relaxed() -> Durability:
    return Durability.RELAXED
