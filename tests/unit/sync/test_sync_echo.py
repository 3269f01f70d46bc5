"""The echo of an own write: what the watcher saw is what the index says, so nobody looks again."""

import asyncio
import os
from pathlib import Path

from cellsmono.datasource.sync.watcher import Change, WatchfilesWatcher
from cellsmono.interfaces.node import Facts, facts_of


async def known(rig, key: str) -> Facts:
    rig.write(key)
    await rig.resync()
    return (await rig.index.read_node(key)).facts


def told(rig, key: str, facts: Facts | None) -> Change:
    return Change(f"{rig.store.root('files')}/{key}".encode(), True, facts)


async def test_a_file_as_the_index_knows_it_is_no_hint(rig) -> None:
    facts = await known(rig, "a")
    rig.sync._take_changes([told(rig, "a", facts)])
    assert rig.sync.status().pending == 0


async def test_any_other_facts_are_a_hint(rig) -> None:
    facts = await known(rig, "a")
    others = [
        Facts(facts.size + 1, facts.mtime_ns, facts.ino, facts.dev, facts.mode),
        Facts(facts.size, facts.mtime_ns + 1, facts.ino, facts.dev, facts.mode),
        Facts(facts.size, facts.mtime_ns, facts.ino + 1, facts.dev, facts.mode),
        Facts(facts.size, facts.mtime_ns, facts.ino, facts.dev + 1, facts.mode),
        Facts(facts.size, facts.mtime_ns, facts.ino, facts.dev, facts.mode ^ 0o111),
        None,
    ]
    for number, other in enumerate(others, start=1):
        rig.sync._take_changes([told(rig, "a", other)])
        assert rig.sync.status().pending == 1, number
        await rig.sync.settle()


async def test_a_marker_is_always_a_hint(rig) -> None:
    await known(rig, "folder/a")
    facts = (await rig.index.read_node("folder/")).facts
    rig.sync._take_changes([told(rig, "folder/.pydio", facts)])
    assert rig.sync.status().pending == 1


async def test_the_watcher_tells_the_facts_of_files(tmp_path: Path) -> None:
    seen: dict[str, Change] = {}
    heard, ready = asyncio.Event(), asyncio.Event()

    def sink(changes) -> None:
        seen.update({os.path.basename(os.fsdecode(change.path)): change for change in changes})
        if {"file", "folder", "link"} <= set(seen):
            heard.set()

    follow = asyncio.ensure_future(WatchfilesWatcher().follow(str(tmp_path), sink, ready.set))
    await ready.wait()
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("file")
    async with asyncio.timeout(30):
        await heard.wait()
    follow.cancel()
    await asyncio.gather(follow, return_exceptions=True)
    assert seen["file"].facts == facts_of((tmp_path / "file").stat())
    assert (seen["folder"].facts, seen["link"].facts) == (None, None)
