"""Random patches on the stored index, the one in memory and a plain model: all three must agree after each."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsmono.datasource.index.memory import MemoryIndex
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.interfaces.events import EventKind, NodeEvent
from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.node import BLOCK_BYTES, Facts, FolderKind, Node, NodeMeta
from cellsmono.interfaces.patch import (
    DeleteNode,
    FolderScanned,
    MoveNode,
    Operation,
    Patch,
    PruneFolders,
    PutFolder,
    PutLeaf,
    PutLeaves,
    SetHash,
    SetMeta,
)
from cellsmono.interfaces.paths import parent_of, rebase
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import CellsError, NotFound

# Names that are prefixes of one another, that sort around "/", and that need more than one byte.
SEGMENTS = ["", "a", "b", "ab", "a-", "a0", "a.", "..", "é", "\U0010ffff", "\ud7ff", "\ue000"]
MD5 = "0cc175b9c0f1b6a831c399e269772661"
OTHER_MD5 = "92eb5ffee6ae2fec3ad71c777531578f"
LARGE = 2 * BLOCK_BYTES

segments = st.sampled_from(SEGMENTS)
folders = st.lists(segments, min_size=1, max_size=4).map(lambda parts: "/".join(parts) + "/")
leaves = st.lists(segments, min_size=1, max_size=4).map("/".join)
nodes = st.one_of(folders, leaves)
facts = st.builds(
    Facts,
    size=st.integers(0, 3) | st.just(LARGE),
    mtime_ns=st.sampled_from([0, 1, 2**64]),
    ino=st.sampled_from([0, 1, 2, 2**64 - 1]),
    dev=st.integers(0, 1),
    mode=st.sampled_from([0, 0o644]),
)
meta = st.sampled_from([NodeMeta(), NodeMeta(content_type="text/plain"), NodeMeta(user={"k": "v"})])
etags = st.sampled_from(["", MD5, "x-2", MD5.upper()])
operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(
        PutLeaf,
        path=leaves,
        facts=facts,
        etag=etags,
        content_hash=st.sampled_from(["", MD5]),
        block_hash=st.sampled_from(["", OTHER_MD5]),
        meta=st.none() | meta,
        touched=st.booleans(),
        blob=st.sampled_from([0, 0, 1, 2**48]),
    ),
    st.builds(
        lambda path, found: PutLeaves(path, tuple(name for name, _ in found), tuple(facts for _, facts in found)),
        folders | st.just(""),
        st.lists(st.tuples(segments, facts), max_size=4)
        | st.dictionaries(segments, facts, max_size=4).map(lambda found: sorted(found.items())),
    ),
    st.builds(PutFolder, path=folders, facts=st.none() | facts, kind=st.none() | st.sampled_from(FolderKind)),
    st.builds(MoveNode, source=folders, path=folders),
    st.builds(MoveNode, source=leaves, path=leaves, facts=st.none() | facts),
    st.builds(DeleteNode, path=nodes),
    st.builds(PruneFolders, path=nodes),
    st.builds(SetMeta, path=nodes, meta=meta),
    st.builds(
        SetHash,
        path=leaves,
        facts=facts,
        content_hash=st.sampled_from(["", MD5, OTHER_MD5]),
        block_hash=st.sampled_from(["", MD5, OTHER_MD5]),
        blob=st.sampled_from([0, 0, 1]),
        replaces=st.booleans(),
    ),
    st.builds(
        FolderScanned,
        path=folders,
        mtime_ns=st.integers(0, 2),
        ctime_ns=st.integers(0, 2),
        fingerprint=st.sampled_from([b"", b"f"]),
    ),
)
patches = st.builds(Patch, operations=st.lists(operations, min_size=1, max_size=6).map(tuple), bulk=st.just(False))


def without_uuid(node: Node) -> tuple[object, ...]:
    """What two indexes must have in common: their UUIDs are their own."""
    return (node.path, node.facts, node.etag, node.content_hash, node.block_hash, node.kind, node.meta, node.blob)


async def read_tree(index: NodeIndex) -> list[Node]:
    found = [await index.read_node("")]
    for node in found:
        if node.is_folder:
            found += await index.list_children(node.path)
    return sorted(found, key=lambda node: node.path)


async def read_states(index: NodeIndex) -> list[tuple[object, ...]]:
    found = await index.list_folder_states()
    return sorted((state.path, state.mtime_ns, state.ctime_ns, state.fingerprint) for state in found)


async def apply_to(index: NodeIndex, patch: Patch) -> tuple[object, tuple[NodeEvent, ...]]:
    try:
        events = await index.apply(patch)
    except CellsError as error:
        return (type(error), error.reason), ()
    return [(event.seq, event.kind, event.path, event.source) for event in events], events


def replay(tree: dict[str, Node], event: NodeEvent) -> None:
    """What a consumer of events does to its own copy of the tree."""
    if event.kind is EventKind.DELETE:
        for path in [
            path for path in tree if path == event.path or (event.path[-1] == "/" and path.startswith(event.path))
        ]:
            del tree[path]
        return
    assert event.node is not None
    if event.kind is EventKind.UPDATE_PATH:
        inner = {
            path: tree.pop(path)
            for path in list(tree)
            if path == event.source or (path.startswith(event.source) and event.source.endswith("/"))
        }
        for path, node in inner.items():
            tree[rebase(path, event.source, event.path)] = node
    tree[event.path] = event.node


@settings(max_examples=60, deadline=None)
@given(st.lists(patches, min_size=1, max_size=12))
def test_stored_and_memory_index_agree(run: list[Patch]) -> None:
    asyncio.run(check_agreement(run))


async def check_agreement(run: list[Patch]) -> None:
    clock = ManualClock()
    memory = MemoryIndex(clock=clock)
    with tempfile.TemporaryDirectory() as folder:
        stored = await SqliteIndex.open(Path(folder, "i.db"), datasource="d", durability="relaxed", clock=clock)
        tree = {node.path: node for node in await read_tree(stored)}
        ever: set[str] = set()
        try:
            for patch in run:
                clock.advance(1)
                expected, _ = await apply_to(memory, patch)
                outcome, events = await apply_to(stored, patch)
                assert outcome == expected
                found = await read_tree(stored)
                assert [without_uuid(n) for n in found] == [without_uuid(n) for n in await read_tree(memory)]
                assert await read_states(stored) == await read_states(memory)
                assert await stored.verify() == []
                assert await memory.verify() == []
                for event in events:
                    replay(tree, event)
                assert {path: node.uuid for path, node in tree.items()} == {node.path: node.uuid for node in found}
                ever.update(tree)
                for path in ever - set(tree):
                    with pytest.raises(NotFound):
                        await stored.read_node(path)
                for node in found:
                    assert await stored.read_node(node.path) == node
                    if node.is_folder:
                        assert await stored.usage(node.path) == await memory.usage(node.path)
                        assert await stored.count_unhashed(node.path) == await memory.count_unhashed(node.path)
        finally:
            await stored.close()


texts = st.text(st.sampled_from("ab-0./é\U0010ffff\0"), max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(operations, min_size=1, max_size=40),
    st.lists(
        st.tuples(
            st.one_of(texts, nodes),
            st.sampled_from(["", "/", "a", "-", "/a", "//", "é"]),
            st.one_of(texts, nodes),
            st.integers(1, 4),
        ),
        min_size=5,
        max_size=30,
    ),
)
def test_listings_equal_a_sorted_oracle(made: list[Operation], asked: list[tuple[str, str, str, int]]) -> None:
    asyncio.run(check_listings(made, asked))


async def check_listings(made: list[Operation], asked: list[tuple[str, str, str, int]]) -> None:
    clock = ManualClock()
    with tempfile.TemporaryDirectory() as folder:
        stored = await SqliteIndex.open(Path(folder, "i.db"), datasource="d", durability="relaxed", clock=clock)
        try:
            memory = MemoryIndex(clock=clock)
            for operation in made:
                await apply_to(stored, Patch((operation,)))
                await apply_to(memory, Patch((operation,)))
            keys = key_list(await read_tree(stored))
            for prefix, delimiter, after, limit in asked:
                expected = oracle(keys, prefix, delimiter, after)
                for index in (stored, memory):
                    assert await list_pages(index, prefix, delimiter, after, limit) == expected
        finally:
            await stored.close()


async def list_pages(index: NodeIndex, prefix: str, delimiter: str, after: str, limit: int) -> list[str]:
    """Every entry of a listing, page by page."""
    entries: list[str] = []
    at = after
    while True:
        page = await index.list_keys(prefix, delimiter, at, limit)
        assert len(page.entries) <= limit
        entries += [entry if isinstance(entry, str) else entry.path for entry in page.entries]
        if not page.next_after:
            return entries
        assert len(page.entries) == limit
        assert page.next_after == entries[-1]
        at = page.next_after


def key_list(tree: list[Node]) -> list[bytes]:
    """Every S3 key of a tree, by the words of the contract."""
    parents = {parent_of(node.path) for node in tree if node.path}
    found = []
    for node in tree:
        is_empty = node.path not in parents
        if not node.is_folder or (
            node.path and (node.kind is FolderKind.MARKER or (node.kind is FolderKind.FOUND and is_empty))
        ):
            found.append(node.path.encode())
    return sorted(found)


def oracle(keys: list[bytes], prefix: str, delimiter: str, after: str) -> list[str]:
    """A listing made from all keys, in bytes, the slow way."""
    start, mark, past = prefix.encode(), delimiter.encode(), after.encode()
    found: list[bytes] = []
    skipped = b""
    if mark and past.startswith(start) and mark in past[len(start) :]:
        skipped = past[: past.index(mark, len(start)) + len(mark)]
    for key in keys:
        if not key.startswith(start) or key <= past or (skipped and key.startswith(skipped)):
            continue
        rest = key[len(start) :]
        entry = start + rest[: rest.index(mark) + len(mark)] if mark and mark in rest else key
        if not found or found[-1] != entry:
            found.append(entry)
    return [entry.decode() for entry in found]
