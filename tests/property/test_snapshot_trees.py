"""Any tree that is dumped and loaded is the same tree, and its events go on where the replaced one's ended."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.objects.local import LocalStore
from cellsmono.datasource.snapshots.dump import dump_index
from cellsmono.datasource.snapshots.leaves import Content
from cellsmono.datasource.snapshots.load import (
    Expected,
    finish_index,
    prepare_index,
    put_in_place,
    unpack_snapshot,
)
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.events import EventKind, NodeEvent
from cellsmono.interfaces.index import NodeIndex
from cellsmono.interfaces.node import Facts, FolderKind, Node, NodeMeta
from cellsmono.interfaces.patch import DeleteNode, MoveNode, Operation, Patch, PutFolder, PutLeaf
from cellsmono.interfaces.snapshots import SnapshotOrigin
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import CellsError

segments = st.sampled_from(["a", "b", "ab", "a-", "é", "\U0010ffff"])
folders = st.lists(segments, min_size=1, max_size=3).map(lambda parts: "/".join(parts) + "/")
leaves = st.lists(segments, min_size=1, max_size=3).map("/".join)
facts = st.builds(
    Facts,
    size=st.integers(0, 3),
    mtime_ns=st.sampled_from([0, 1, 2**64]),
    ino=st.sampled_from([0, 1, 2**64 - 1]),
    mode=st.sampled_from([0, 0o644]),
)
meta = st.sampled_from([NodeMeta(), NodeMeta(user={"k": "v"}), NodeMeta(content_type="text/plain", tags={"t": "1"})])
operations: st.SearchStrategy[Operation] = st.one_of(
    st.builds(PutLeaf, path=leaves, facts=facts, etag=st.sampled_from(["", "0" * 32, "x-2"]), meta=meta),
    st.builds(PutFolder, path=folders, kind=st.sampled_from(FolderKind)),
    st.builds(MoveNode, source=folders, path=folders),
    st.builds(DeleteNode, path=st.one_of(folders, leaves)),
)
histories = st.lists(operations, max_size=12)
CONFIG = DatasourceConfig(name="docs", folder="/docs")


async def apply_all(index: NodeIndex, history: Sequence[Operation]) -> None:
    for operation in history:
        try:
            await index.apply(Patch((operation,)))
        except CellsError:
            continue  # it does not fit what is there, and changed nothing


async def read_tree(index: NodeIndex) -> dict[str, Node]:
    root = await index.read_node("")
    found, pending = {"": root}, [""]
    while pending:
        for node in await index.list_children(pending.pop()):
            found[node.path] = node
            if node.is_folder:
                pending.append(node.path)
    return found


class Without(Content):
    """Everything is there, but for these."""

    def __init__(self, absent: set[str]) -> None:
        self.absent = absent
        self.prunes = False

    async def look(self, leaves: Sequence[Node]) -> list[Facts | None]:
        return [None if node.path in self.absent else node.facts for node in leaves]


async def check(root: Path, before: list[Operation], after: list[Operation], pick: int) -> None:
    (root / "docs").mkdir()
    store = LocalStore("objects", root)
    store.add_bucket("docs", "docs", durability="relaxed")
    path = root / "index.db"
    index = await SqliteIndex.open(path, datasource="docs", durability="relaxed")
    await apply_all(index, before)
    dumped = await read_tree(index)
    place, clock = store.snapshots("docs"), ManualClock()
    await dump_index(index, path, place, "x", CONFIG, origin=SnapshotOrigin.MANUAL, clock=clock)
    await apply_all(index, after)
    last = (await index.stats()).last_sequence
    names = sorted(each for each in dumped if each and not each.endswith("/"))
    absent = {names[pick % len(names)]} if len(names) > 1 else set()
    expected = Expected(CONFIG, dumped[""].uuid)
    _, loading = await unpack_snapshot(place.open("x"), "x", path, expected.check)
    compared = await prepare_index(loading, "x", "docs", Without(absent))
    assert (compared.found, set(compared.absent)) == (len(names) - len(absent), absent)
    await index.close()
    await finish_index(loading, "docs", Without(absent), compared, last)
    put_in_place(loading, path)
    heard: list[NodeEvent] = []
    index = await SqliteIndex.open(path, datasource="docs", durability="relaxed", publish=heard.extend)
    assert await index.verify() == []
    assert await read_tree(index) == {each: node for each, node in dumped.items() if each not in absent}
    assert [(event.seq, event.kind, event.path) for event in heard] == [(heard[0].seq, EventKind.RELOAD, "")]
    assert heard[0].seq > last
    await index.apply(Patch((PutLeaf("fresh", Facts(1, 1)),)))
    page = await index.changes(last)
    assert [event.seq for event in page.events][-2:] == [heard[0].seq, heard[0].seq + 1]
    await index.close()
    await store.close()


@settings(max_examples=40, deadline=None)
@given(histories, histories, st.integers(0, 99))
def test_what_is_loaded_is_what_was_dumped(before: list[Operation], after: list[Operation], pick: int) -> None:
    with tempfile.TemporaryDirectory(prefix="cellsmono-snapshots-") as root:
        asyncio.run(check(Path(root), before, after, pick))
