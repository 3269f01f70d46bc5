"""Looking for mirrored attributes: by path first, and read by the safe way only."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cellsmono.datasource.objects import changing
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.interfaces.node import NodeAttributes, NodeMeta

Put = Callable[..., Awaitable[Any]]
KEPT = NodeAttributes(4, 1, "", NodeMeta(user={"a": "b"}))


@pytest.fixture(autouse=True)
def needs_attributes(local: LocalStore) -> None:
    if not local.capabilities("docs").attributes:
        pytest.skip("no extended attributes here")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the files that were opened."""
    found: list[str] = []
    read = changing._read_attributes

    def note(bucket: Any, key: str) -> NodeAttributes | None:
        found.append(key)
        return read(bucket, key)

    monkeypatch.setattr(changing, "_read_attributes", note)
    return found


async def test_only_files_that_have_some_are_opened(local: LocalStore, put: Put, opened: list[str]) -> None:
    keys = ["x", "d/x", "d/é", "d/\u201bFF", "d/e/\U0001f600"]
    plain = [key + "-" for key in keys]
    (Path(local.root("docs")) / "d").mkdir()
    Path(os.fsdecode(os.fsencode(local.root("docs")) + b"/d/\xff")).write_bytes(b"data")
    for key in [*keys, *plain]:
        if key != "d/\u201bFF":
            await put(local, key)
    for key in keys:
        await local.set_attributes("docs", key, KEPT)
    mixed = [key for pair in zip(keys, plain, strict=True) for key in pair]
    assert await local.read_attributes("docs", mixed) == [KEPT, None] * len(keys)
    assert opened == keys


async def test_what_is_not_there_has_none(local: LocalStore, put: Put) -> None:
    await put(local, "x")
    keys = ["x", "x/y", "gone", "gone/x", "a//b", "../x", ".pydio", "d\0", "d\0/x", "\udc80", "", "a" * 5000]
    assert await local.read_attributes("docs", keys) == [None] * len(keys)


async def test_of_a_foreign_attribute_nothing_is_taken(local: LocalStore, put: Put, opened: list[str]) -> None:
    await put(local, "x")
    os.setxattr(Path(local.root("docs")) / "x", "user.other", b"1")
    assert await local.read_attributes("docs", ["x"]) == [None]
    assert opened == []


async def test_links_lead_nowhere(local: LocalStore, put: Put) -> None:
    """The quick question may be answered by another file, the attributes never are."""
    root = Path(local.root("docs"))
    await put(local, "d/x")
    await put(local, "x", bucket="inside")
    await local.set_attributes("docs", "d/x", KEPT)
    await local.set_attributes("inside", "x", KEPT)
    (root / "link").symlink_to("d")
    (root / "file-link").symlink_to("d/x")
    (root / "out").symlink_to(local.root("inside"))
    keys = ["link/x", "file-link", "out/x"]
    assert await local.read_attributes("docs", keys) == [None] * 3
    inside = Path(local.root("inside"))
    (inside / "d").mkdir()
    (inside / "d" / "link").symlink_to("../x")
    (inside / "d" / "out").symlink_to(root / "d" / "x")
    assert await local.read_attributes("inside", ["d/link", "d/out"]) == [KEPT, None]
