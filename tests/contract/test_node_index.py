"""What every index promises: each sentence of ``interfaces.index`` and ``interfaces.patch``, on each implementation."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from cellsmono.datasource.index.memory import MemoryIndex
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.interfaces.events import EventKind, NodeEvent
from cellsmono.interfaces.index import FolderState, NodeIndex, Unhashed, Usage
from cellsmono.interfaces.node import (
    BLOCK_BYTES,
    NO_META,
    Checksum,
    Facts,
    FolderKind,
    Node,
    NodeMeta,
    PartInfo,
    time_of_uuid,
)
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
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import AlreadyExists, Conflict, Invalid, NotFound

MD5 = "0cc175b9c0f1b6a831c399e269772661"
OTHER_MD5 = "92eb5ffee6ae2fec3ad71c777531578f"
ONE = Facts(size=1, mtime_ns=100, ino=11, dev=7, mode=0o100644)
LARGE = Facts(size=3 * BLOCK_BYTES, mtime_ns=300, ino=13, dev=7, mode=0o100644)
TWO = Facts(size=2, mtime_ns=200, ino=12, dev=7, mode=0o100644)
TWO_EDITED = Facts(size=5, mtime_ns=250, ino=12, dev=7, mode=0o100644)
UUID_A = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
UUID_B = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"
META = NodeMeta(
    content_type="text/plain",
    headers={"cache-control": "no-store"},
    user={"colour": "blue"},
    tags={"t": "1"},
    checksum=Checksum("CRC32", "AAAAAA=="),
    parts=(PartInfo(1, 5), PartInfo(2, 3, Checksum("SHA256", "x"))),
)
KEPT = 50


class Bench:
    """An index, its clock, and everything it published."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.published: list[NodeEvent] = []
        self.index: NodeIndex

    def publish(self, events: tuple[NodeEvent, ...]) -> None:
        self.published.extend(events)

    async def apply(self, *operations: Operation, bulk: bool = False) -> tuple[NodeEvent, ...]:
        return await self.index.apply(Patch(operations, bulk=bulk))

    async def kinds(self, *operations: Operation) -> list[tuple[EventKind, str]]:
        return [(event.kind, event.path) for event in await self.apply(*operations)]

    async def keys(self, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000) -> list[str]:
        page = await self.index.list_keys(prefix, delimiter, after, limit)
        return [entry if isinstance(entry, str) else entry.path for entry in page.entries]


@pytest.fixture(params=["memory", "sqlite"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench()
    if request.param == "memory":
        made.index = MemoryIndex(datasource="ds", clock=made.clock, publish=made.publish, kept_events=KEPT)
        yield made
    else:
        index = await SqliteIndex.open(
            tmp_path / "index.db", datasource="ds", clock=made.clock, publish=made.publish, kept_events=KEPT
        )
        made.index = index
        yield made
        assert await index.verify() == []
        await index.close()
        return
    assert await made.index.verify() == []


class TestPutLeaf:
    async def test_a_new_leaf_has_what_was_given_and_one_create_event(self, bench: Bench) -> None:
        (event,) = await bench.apply(PutLeaf("a.txt", ONE, etag=MD5, content_hash=OTHER_MD5, meta=META, uuid=UUID_A))
        node = await bench.index.read_node("a.txt")
        assert node == Node("a.txt", UUID_A, ONE, MD5, OTHER_MD5, FolderKind.FOUND, META)
        assert event == NodeEvent(1, EventKind.CREATE, "a.txt", UUID_A, bench.clock.time_ns(), "", node, "ds")

    async def test_a_new_leaf_without_uuid_gets_a_time_ordered_one(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE), PutLeaf("b", ONE))
        uuids = [(await bench.index.read_node(path)).uuid for path in ("a", "b")]
        assert [UUID(uuid).version for uuid in uuids] == [7, 7]
        assert uuids[0] != uuids[1]

    @pytest.mark.parametrize("etag", ["", MD5, MD5.upper(), f"{MD5}-2", "zz" * 16, "x", " " * 32])
    async def test_any_etag_and_hash_come_back_unchanged(self, bench: Bench, etag: str) -> None:
        await bench.apply(
            PutLeaf("a", ONE, etag=etag, content_hash=MD5), PutLeaf("b", ONE, etag=MD5, content_hash=etag)
        )
        first, second = await bench.index.read_node("a"), await bench.index.read_node("b")
        assert (first.etag, first.content_hash, second.etag, second.content_hash) == (etag, MD5, MD5, etag)

    async def test_facts_beyond_63_bits_come_back_unchanged(self, bench: Bench) -> None:
        facts = Facts(size=2**62, mtime_ns=2**64 + 5, ino=2**64 - 1, dev=2**63, mode=0o177777)
        await bench.apply(PutLeaf("a", facts))
        assert (await bench.index.read_node("a")).facts == facts
        assert [node.path for node in await bench.index.find_inode(2**63, 2**64 - 1)] == ["a"]
        assert await bench.kinds(PutLeaf("a", facts)) == []

    async def test_missing_parents_are_made_as_implicit_folders_with_events(self, bench: Bench) -> None:
        found = await bench.kinds(PutLeaf("a/b/c", ONE))
        assert found == [(EventKind.CREATE, "a/"), (EventKind.CREATE, "a/b/"), (EventKind.CREATE, "a/b/c")]
        nodes = [await bench.index.read_node(path) for path in ("a/", "a/b/")]
        assert [(node.kind, node.size, node.is_folder) for node in nodes] == [(FolderKind.IMPLICIT, 0, True)] * 2

    async def test_authoritative_replaces_everything_but_the_uuid(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, etag=MD5, content_hash=MD5, meta=META, uuid=UUID_A))
        found = await bench.kinds(PutLeaf("a", TWO, etag=OTHER_MD5, uuid=UUID_B))
        assert found == [(EventKind.UPDATE_CONTENT, "a")]
        assert await bench.index.read_node("a") == Node("a", UUID_A, TWO, OTHER_MD5)

    @pytest.mark.parametrize(
        "change",
        [
            PutLeaf("a", TWO, etag=MD5, meta=META),
            PutLeaf("a", ONE, etag=OTHER_MD5, meta=META),
            PutLeaf("a", ONE, etag=MD5),
        ],
    )
    async def test_authoritative_with_any_difference_is_an_update(self, bench: Bench, change: PutLeaf) -> None:
        await bench.apply(PutLeaf("a", ONE, etag=MD5, meta=META))
        assert await bench.kinds(change) == [(EventKind.UPDATE_CONTENT, "a")]

    async def test_authoritative_and_equal_is_no_change(self, bench: Bench) -> None:
        operation = PutLeaf("a", ONE, etag=MD5, content_hash=MD5, meta=META)
        await bench.apply(operation)
        assert await bench.apply(operation) == ()

    async def test_observed_with_equal_facts_changes_nothing(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, etag=MD5, content_hash=MD5, meta=META))
        before = await bench.index.read_node("a")
        assert await bench.apply(PutLeaf("a", ONE, meta=NodeMeta(content_type="other/x"))) == ()
        assert await bench.index.read_node("a") == before

    async def test_observed_with_another_mode_or_dev_is_stored_silently(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, etag=MD5, meta=META))
        other = Facts(ONE.size, ONE.mtime_ns, ONE.ino, dev=9, mode=0o100600)
        assert await bench.apply(PutLeaf("a", other)) == ()
        node = await bench.index.read_node("a")
        assert (node.facts, node.etag, node.meta) == (other, MD5, META)

    async def test_observed_with_other_facts_is_new_content(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, etag=MD5, content_hash=MD5, meta=META, uuid=UUID_A))
        assert await bench.kinds(PutLeaf("a", TWO)) == [(EventKind.UPDATE_CONTENT, "a")]
        assert await bench.index.read_node("a") == Node("a", UUID_A, TWO)
        await bench.apply(PutLeaf("a", ONE, meta=META))
        assert await bench.index.read_node("a") == Node("a", UUID_A, ONE, meta=META)

    async def test_touched_keeps_hashes_and_metadata(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, etag=MD5, content_hash=MD5, meta=META, uuid=UUID_A))
        assert await bench.kinds(PutLeaf("a", TWO, touched=True)) == [(EventKind.UPDATE_META, "a")]
        assert await bench.index.read_node("a") == Node("a", UUID_A, TWO, MD5, MD5, FolderKind.FOUND, META)
        assert await bench.apply(PutLeaf("a", TWO, touched=True)) == ()

    @pytest.mark.parametrize("path", ["", "a/", "\udcff", "a/\ud800"])
    async def test_a_path_that_names_no_leaf_is_invalid(self, bench: Bench, path: str) -> None:
        with pytest.raises(Invalid):
            await bench.apply(PutLeaf(path, ONE))

    async def test_empty_segments_and_dots_are_names_like_any_other(self, bench: Bench) -> None:
        paths = ["/x", "//", "a", "a/", "a//b", "a/b", "a/./c", "a/../c", "a///"]
        for path in paths:
            await bench.apply(PutFolder(path, kind=FolderKind.MARKER) if path.endswith("/") else PutLeaf(path, ONE))
        assert await bench.keys() == sorted(paths)
        assert [(await bench.index.read_node(path)).path for path in paths] == paths
        children = await bench.index.list_children("a/")
        assert [node.path for node in children] == ["a/../", "a/./", "a//", "a/b"]
        assert (await bench.index.usage("a/")).files == 4
        assert await bench.index.verify() == []

    async def test_the_blob_of_new_content_is_kept_until_there_is_newer_content(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, etag=MD5, uuid=UUID_A))
        assert (await bench.index.read_node("a")).blob == 0
        await bench.apply(PutLeaf("a", TWO, etag=MD5, meta=META, blob=1_764_000_000_000))
        await bench.apply(SetMeta("a", NO_META))
        await bench.apply(PutLeaf("a", ONE, touched=True))
        await bench.apply(MoveNode("a", "b/c"))
        await bench.apply(MoveNode("b/", "d/"))
        node = await bench.index.read_node("d/c")
        assert (node.uuid, node.blob) == (UUID_A, 1_764_000_000_000)
        await bench.apply(PutLeaf("d/c", ONE, etag=MD5, blob=7))
        assert (await bench.index.read_node("d/c")).blob == 7
        await bench.apply(PutLeaf("d/c", ONE, etag=MD5, blob=8))
        assert (await bench.index.read_node("d/c")).blob == 8, "the same content in another blob is a change, too"

    async def test_deleted_nodes_are_known_as_long_as_the_log_is(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, uuid=UUID_A), PutLeaf("b", ONE, uuid=UUID_B))
        await bench.apply(DeleteNode("a"))
        assert await bench.index.find_deleted([UUID_A, UUID_B, "none"]) == {UUID_A}
        assert await bench.index.find_deleted([]) == set()
        for number in range(KEPT + 300):
            await bench.apply(PutLeaf(f"x{number}", ONE))
        assert await bench.index.find_deleted([UUID_A]) == set()

    async def test_only_new_refuses_a_node_that_is_there_and_undoes_the_patch(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, etag=MD5, uuid=UUID_A, only_new=True))
        with pytest.raises(AlreadyExists):
            await bench.apply(PutLeaf("b", ONE), PutLeaf("a", TWO, etag=MD5, uuid=UUID_B, only_new=True))
        assert await bench.keys() == ["a"]
        assert (await bench.index.read_node("a")).uuid == UUID_A
        assert bench.index.recall_node("a") in (None, await bench.index.read_node("a"))
        assert bench.index.recall_node("nothing") is None

    async def test_a_taken_or_malformed_uuid_is_refused(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, uuid=UUID_A))
        with pytest.raises(Conflict) as caught:
            await bench.apply(PutLeaf("x/b", ONE, uuid=UUID_A.upper()))
        assert caught.value.reason == "uuid"
        with pytest.raises(Invalid):
            await bench.apply(PutLeaf("b", ONE, uuid="nonsense"))
        assert await bench.keys() == ["a"]


class TestPutFolder:
    async def test_a_new_folder_is_found_and_has_one_create_event(self, bench: Bench) -> None:
        assert await bench.kinds(PutFolder("a/", uuid=UUID_A, facts=TWO)) == [(EventKind.CREATE, "a/")]
        node = await bench.index.read_node("a/")
        assert (node.uuid, node.kind, node.size, node.mtime_ns) == (UUID_A, FolderKind.FOUND, 0, TWO.mtime_ns)
        assert (node.facts.ino, node.facts.dev, node.facts.mode) == (TWO.ino, TWO.dev, TWO.mode)
        assert await bench.apply(PutFolder("a/", uuid=UUID_A, facts=TWO)) == ()

    async def test_missing_parents_are_implicit(self, bench: Bench) -> None:
        await bench.apply(PutFolder("a/b/", kind=FolderKind.MARKER))
        kinds = [(await bench.index.read_node(path)).kind for path in ("a/", "a/b/")]
        assert kinds == [FolderKind.IMPLICIT, FolderKind.MARKER]

    async def test_nothing_given_keeps_what_is_stored(self, bench: Bench) -> None:
        await bench.apply(PutFolder("a/", uuid=UUID_A, facts=ONE, kind=FolderKind.IMPLICIT))
        before = await bench.index.read_node("a/")
        assert await bench.apply(PutFolder("a/")) == ()
        assert await bench.index.read_node("a/") == before

    async def test_another_uuid_replaces_the_stored_one(self, bench: Bench) -> None:
        await bench.apply(PutFolder("a/", uuid=UUID_A), PutLeaf("a/x", ONE))
        assert await bench.kinds(PutFolder("a/", uuid=UUID_B)) == [(EventKind.UPDATE_META, "a/")]
        assert await bench.index.find_node(UUID_A) is None
        found = await bench.index.find_node(UUID_B)
        assert await bench.index.find_nodes([UUID_A, UUID_B, "none", UUID_B.upper()]) == [None, found, None, found]
        assert found is not None
        assert found.path == "a/"
        assert await bench.index.find_paths([UUID_A, UUID_B, "none", UUID_B.upper()]) == {
            UUID_B: "a/", UUID_B.upper(): "a/",
        }  # fmt: skip
        with pytest.raises(Conflict):
            await bench.apply(PutFolder("b/", uuid=UUID_B))
        await bench.apply(PutFolder("c/"))
        with pytest.raises(Conflict):
            await bench.apply(PutFolder("c/", uuid=UUID_B))

    async def test_only_a_change_to_or_from_a_marker_is_an_event(self, bench: Bench) -> None:
        await bench.apply(PutFolder("a/", kind=FolderKind.IMPLICIT))
        assert await bench.kinds(PutFolder("a/", kind=FolderKind.FOUND)) == []
        assert await bench.kinds(PutFolder("a/", kind=FolderKind.MARKER)) == [(EventKind.UPDATE_META, "a/")]
        assert await bench.kinds(PutFolder("a/", facts=TWO)) == []
        await bench.apply(SetMeta("a/", META))
        assert await bench.kinds(PutFolder("a/", kind=FolderKind.FOUND)) == [(EventKind.UPDATE_META, "a/")]
        node = await bench.index.read_node("a/")
        assert (node.kind, node.meta, node.mtime_ns) == (FolderKind.FOUND, NO_META, TWO.mtime_ns)

    async def test_paths_of_many_nodes_are_found_at_once(self, bench: Bench) -> None:
        paths = [f"a/{number}/x" for number in range(600)]
        await bench.apply(*(PutLeaf(path, facts=ONE) for path in paths))
        uuids = [(await bench.index.read_node(path)).uuid for path in paths]
        assert await bench.index.find_paths([*uuids, UUID_A]) == dict(zip(uuids, paths, strict=True))
        assert await bench.index.find_paths([]) == {}

    async def test_the_root_is_there_and_takes_facts_and_uuid(self, bench: Bench) -> None:
        root = await bench.index.read_node("")
        assert (root.path, root.is_folder, root.size) == ("", True, 0)
        await bench.apply(PutFolder("", uuid=UUID_A, facts=ONE))
        root = await bench.index.read_node("")
        assert (root.uuid, root.mtime_ns) == (UUID_A, ONE.mtime_ns)
        assert await bench.keys() == []

    @pytest.mark.parametrize("path", ["a", "\udcff/"])
    async def test_a_path_that_names_no_folder_is_invalid(self, bench: Bench, path: str) -> None:
        with pytest.raises(Invalid):
            await bench.apply(PutFolder(path))


class TestPrune:
    async def test_only_empty_folders_that_were_implied_go_innermost_first(self, bench: Bench) -> None:
        await bench.apply(PutFolder("own/"), PutLeaf("own/a/b/c/x", ONE), PutLeaf("own/a/y", ONE))
        assert await bench.kinds(DeleteNode("own/a/b/c/x"), PruneFolders("own/a/b/c/x")) == [
            (EventKind.DELETE, "own/a/b/c/x"),
            (EventKind.DELETE, "own/a/b/c/"),
            (EventKind.DELETE, "own/a/b/"),
        ]
        assert await bench.kinds(DeleteNode("own/a/y"), PruneFolders("own/a/y")) == [
            (EventKind.DELETE, "own/a/y"),
            (EventKind.DELETE, "own/a/"),
        ]
        assert await bench.keys() == ["own/"]
        assert await bench.apply(PruneFolders("own/a/y")) == ()
        assert await bench.apply(PruneFolders("nothing/there")) == ()
        assert await bench.index.verify() == []

    async def test_markers_and_what_is_put_in_the_same_patch_keep_their_folders(self, bench: Bench) -> None:
        await bench.apply(PutFolder("m/", kind=FolderKind.MARKER), PutLeaf("m/x", ONE), PutLeaf("n/x", ONE))
        await bench.apply(DeleteNode("m/x"), PruneFolders("m/x"))
        await bench.apply(DeleteNode("n/x"), PutLeaf("n/y", ONE), PruneFolders("n/x"))
        assert await bench.keys() == ["m/", "n/y"]
        await bench.apply(MoveNode("n/y", "o/p/y"), PruneFolders("n/y"))
        with pytest.raises(NotFound):
            await bench.index.read_node("n/")
        assert await bench.index.verify() == []


class TestMove:
    async def test_a_leaf_keeps_everything_but_its_path(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a/x", ONE, etag=MD5, content_hash=MD5, meta=META, uuid=UUID_A))
        events = await bench.apply(MoveNode("a/x", "b/c/y"))
        assert [(event.kind, event.path) for event in events[:-1]] == [
            (EventKind.CREATE, "b/"),
            (EventKind.CREATE, "b/c/"),
        ]
        assert (events[-1].kind, events[-1].source, events[-1].path) == (EventKind.UPDATE_PATH, "a/x", "b/c/y")
        node = await bench.index.read_node("b/c/y")
        assert node == Node("b/c/y", UUID_A, ONE, MD5, MD5, FolderKind.FOUND, META)
        assert events[-1].node == node
        with pytest.raises(NotFound):
            await bench.index.read_node("a/x")

    async def test_a_folder_takes_everything_below_it_along_in_one_event(self, bench: Bench) -> None:
        leaves = ["a/1", "a/b/2", "a/b/c/3", "ab/4"]
        await bench.apply(*(PutLeaf(path, ONE) for path in leaves))
        before = {node.uuid: path for path in ["a/", "a/b/", *leaves] for node in [await bench.index.read_node(path)]}
        events = await bench.apply(PutFolder("x/"), MoveNode("a/", "x/y/"))
        assert [event.kind for event in events] == [EventKind.CREATE, EventKind.UPDATE_PATH]
        for uuid, path in before.items():
            node = await bench.index.find_node(uuid)
            assert node is not None
            assert node.path == ("x/y/" + path[2:] if path.startswith("a/") else path)
            assert await bench.index.read_node(node.path) == node
        assert await bench.keys() == ["ab/4", "x/y/1", "x/y/b/2", "x/y/b/c/3"]
        assert await bench.index.usage("x/") == Usage(3, 3, 3)

    async def test_a_leaf_at_the_target_goes_without_an_event(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, uuid=UUID_A), PutLeaf("b", TWO, uuid=UUID_B))
        assert await bench.kinds(MoveNode("a", "b")) == [(EventKind.UPDATE_PATH, "b")]
        assert (await bench.index.read_node("b")).uuid == UUID_A
        assert await bench.index.find_node(UUID_B) is None
        assert await bench.index.usage("") == Usage(0, 1, 1)

    async def test_facts_replace_the_stored_ones(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, etag=MD5), PutFolder("d/", facts=ONE))
        await bench.apply(MoveNode("a", "b", facts=TWO), MoveNode("d/", "e/", facts=TWO))
        leaf, folder = await bench.index.read_node("b"), await bench.index.read_node("e/")
        assert (leaf.facts, leaf.etag) == (TWO, MD5)
        assert (folder.size, folder.mtime_ns) == (0, TWO.mtime_ns)
        assert (await bench.index.usage("")).bytes == TWO.size

    async def test_what_can_not_be_moved_is_refused(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a/x", ONE), PutFolder("b/"), PutLeaf("leaf", ONE))
        for source, path, error in [
            ("none", "x", NotFound),
            ("none/", "x/", NotFound),
            ("a/", "b/", AlreadyExists),
            ("a/", "a/b/", Conflict),
            ("", "x/", Conflict),
            ("a/", "x", Invalid),
            ("leaf", "x/", Invalid),
        ]:
            with pytest.raises(error):
                await bench.apply(MoveNode(source, path))
        assert await bench.keys() == ["a/x", "b/", "leaf"]

    async def test_a_move_to_the_same_place_is_no_event(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a/x", ONE))
        assert await bench.apply(MoveNode("a/x", "a/x"), MoveNode("a/", "a/")) == ()
        assert await bench.apply(MoveNode("a/x", "a/x", facts=TWO)) == ()
        assert (await bench.index.read_node("a/x")).facts == TWO

    async def test_swaps_and_moves_within_moves(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a/in/1", ONE), PutLeaf("b/2", ONE))
        await bench.apply(MoveNode("a/", "t/"), MoveNode("b/", "a/"), MoveNode("t/", "b/"), MoveNode("b/in/", "a/in/"))
        assert await bench.keys("", "", "") == ["a/2", "a/in/1"]
        await bench.apply(MoveNode("a/in/", "in/"), MoveNode("a/", "in/a/"))
        assert await bench.keys() == ["in/1", "in/a/2"]


class TestDelete:
    async def test_a_folder_goes_with_everything_below_it_in_one_event(self, bench: Bench) -> None:
        await bench.apply(PutFolder("a/", uuid=UUID_A), PutLeaf("a/b/c", ONE), PutLeaf("ab", ONE), PutLeaf("a0", ONE))
        (event,) = await bench.apply(DeleteNode("a/"))
        assert (event.kind, event.path, event.uuid, event.node) == (EventKind.DELETE, "a/", UUID_A, None)
        assert await bench.keys() == ["a0", "ab"]
        assert await bench.index.read_nodes(["a/", "a/b/", "a/b/c"]) == [None, None, None]
        assert await bench.index.usage("") == Usage(0, 2, 2)

    async def test_a_missing_node_is_no_change(self, bench: Bench) -> None:
        assert await bench.apply(DeleteNode("a"), DeleteNode("a/"), DeleteNode("x/y")) == ()

    async def test_a_leaf_and_a_folder_of_one_name_are_two_nodes(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE), PutLeaf("a/b", ONE))
        assert await bench.keys() == ["a", "a/b"]
        await bench.apply(DeleteNode("a"))
        assert await bench.keys() == ["a/b"]

    async def test_the_root_can_not_be_deleted(self, bench: Bench) -> None:
        with pytest.raises(Invalid):
            await bench.apply(DeleteNode(""))

    async def test_deleted_and_made_anew_is_another_node(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("d/a", ONE))
        first = await bench.index.read_node("d/a")
        await bench.apply(DeleteNode("d/"), PutLeaf("d/a", TWO))
        assert (await bench.index.read_node("d/a")).uuid != first.uuid
        assert await bench.index.usage("d/") == Usage(0, 1, 2)


class TestMetaAndHash:
    async def test_set_meta_replaces_and_tells_when_it_differs(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, etag=MD5), PutFolder("m/", kind=FolderKind.MARKER), PutFolder("f/"))
        assert await bench.kinds(SetMeta("a", META), SetMeta("m/", META)) == [
            (EventKind.UPDATE_META, "a"),
            (EventKind.UPDATE_META, "m/"),
        ]
        assert await bench.apply(SetMeta("a", META)) == ()
        node = await bench.index.read_node("a")
        assert (node.meta, node.etag, node.facts) == (META, MD5, ONE)
        assert (await bench.index.read_node("m/")).meta == META
        with pytest.raises(NotFound):
            await bench.apply(SetMeta("none", META))
        with pytest.raises(Conflict):
            await bench.apply(SetMeta("f/", META))

    async def test_a_hash_is_stored_silently_if_the_facts_are_still_the_same(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, meta=META), PutLeaf("b", ONE, etag="e-2"))
        assert await bench.apply(SetHash("a", ONE, MD5), SetHash("b", ONE, MD5)) == ()
        first, second = await bench.index.read_node("a"), await bench.index.read_node("b")
        assert (first.etag, first.content_hash, first.meta) == (MD5, MD5, META)
        assert (second.etag, second.content_hash) == ("e-2", MD5)

    async def test_a_hash_for_other_facts_is_ignored(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", TWO), PutFolder("f/"))
        assert await bench.apply(SetHash("a", ONE, MD5), SetHash("none", ONE, MD5), SetHash("f/", ONE, MD5)) == ()
        assert (await bench.index.read_node("a")).content_hash == ""

    async def test_a_hash_of_other_content_with_the_same_facts_is_ignored(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, etag="e-2", blob=5))
        assert await bench.apply(SetHash("a", ONE, MD5), SetHash("a", ONE, MD5, blob=4)) == ()
        assert (await bench.index.read_node("a")).content_hash == ""
        await bench.apply(SetHash("a", ONE, MD5, blob=5))
        assert (await bench.index.read_node("a")).content_hash == MD5

    async def test_a_known_hash_is_never_replaced_unless_asked(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", LARGE, etag=MD5, content_hash=MD5))
        assert await bench.apply(SetHash("a", LARGE, OTHER_MD5, OTHER_MD5)) == ()
        node = await bench.index.read_node("a")
        assert (node.etag, node.content_hash, node.block_hash, node.is_hashed) == (MD5, MD5, "", False)
        assert await bench.apply(SetHash("a", LARGE, MD5, OTHER_MD5)) == ()
        assert (await bench.index.read_node("a")).block_hash == OTHER_MD5
        assert await bench.apply(SetHash("a", LARGE, MD5, MD5)) == ()
        assert (await bench.index.read_node("a")).block_hash == OTHER_MD5
        (event,) = await bench.apply(SetHash("a", LARGE, OTHER_MD5, MD5, replaces=True))
        assert event.kind is EventKind.UPDATE_CONTENT
        node = await bench.index.read_node("a")
        assert (node.etag, node.content_hash, node.block_hash, node.is_hashed) == (OTHER_MD5, OTHER_MD5, MD5, True)

    async def test_an_etag_of_parts_outlives_a_replaced_hash(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE, etag="e-2"), SetHash("a", ONE, MD5))
        await bench.apply(SetHash("a", ONE, OTHER_MD5, replaces=True))
        node = await bench.index.read_node("a")
        assert (node.etag, node.content_hash) == ("e-2", OTHER_MD5)

    async def test_new_content_clears_both_hashes_and_a_move_keeps_them(self, bench: Bench) -> None:
        leaf = PutLeaf("a", LARGE, etag=MD5, content_hash=MD5, block_hash=OTHER_MD5)
        await bench.apply(leaf, PutFolder("f/"), MoveNode("a", "f/b"), MoveNode("f/", "g/"))
        node = await bench.index.read_node("g/b")
        assert (node.content_hash, node.block_hash) == (MD5, OTHER_MD5)
        await bench.apply(PutLeaf("g/b", TWO))
        node = await bench.index.read_node("g/b")
        assert (node.content_hash, node.block_hash) == ("", "")

    async def test_leaves_that_lack_a_hash_are_counted_below_a_folder(self, bench: Bench) -> None:
        await bench.apply(
            PutLeaf("a/one", ONE),
            PutLeaf("a/b/large", LARGE, etag=MD5, content_hash=MD5),
            PutLeaf("a/b/done", LARGE, etag=MD5, content_hash=MD5, block_hash=MD5),
            PutLeaf("ab/two", TWO),
            PutLeaf("small", TWO, etag=MD5, content_hash=MD5),
        )
        assert await bench.index.count_unhashed() == Unhashed(3, 3 + LARGE.size)
        assert await bench.index.count_unhashed("a/") == Unhashed(2, 1 + LARGE.size)
        assert await bench.index.count_unhashed("none/") == Unhashed()
        assert {node.path for node in await bench.index.list_unhashed(path="a/")} == {"a/one", "a/b/large"}
        assert [node.path for node in await bench.index.list_unhashed(path="a/b/")] == ["a/b/large"]
        assert await bench.index.list_unhashed(path="none/") == []

    async def test_unhashed_leaves_are_listed_page_by_page(self, bench: Bench) -> None:
        paths = [f"d{number % 3}/f{number:02}" for number in range(20)]
        await bench.apply(*(PutLeaf(path, ONE) for path in paths), PutLeaf("done", ONE, etag=MD5, content_hash=MD5))
        found: list[str] = []
        while page := await bench.index.list_unhashed(found[-1] if found else "", 7):
            found += [node.path for node in page]
            await bench.apply(DeleteNode(found[-1]))
        assert sorted(found) == sorted(paths)
        await bench.apply(*(SetHash(path, ONE, MD5) for path in paths))
        assert await bench.index.list_unhashed() == []


class TestScans:
    async def test_a_state_is_kept_until_a_child_changes(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("d/a", ONE), PutFolder("d/f/"), PutLeaf("d/f/x", ONE), PutLeaf("e", ONE))
        scanned = FolderScanned("d/", 5, 6, b"fp")
        state = FolderState("d/", 5, 6, b"fp")
        assert await bench.apply(scanned) == ()
        edited, replaced = FolderState("d/", 5, 6, b""), FolderState("d/", 5, 0, b"")
        for operation, expected in [
            (PutLeaf("d/a", ONE), state),
            (PutLeaf("d/a", TWO), replaced),
            (PutLeaf("d/a", TWO_EDITED), edited),
            (MoveNode("d/a", "d/a", TWO), edited),
            (MoveNode("d/a", "d/a", ONE), replaced),
            (PutLeaf("d/new", ONE), replaced),
            (SetMeta("d/a", META), state),
            (SetHash("d/a", ONE, MD5), state),
            (PutFolder("d/f/", facts=TWO), replaced),
            (PutFolder("d/f/", facts=TWO_EDITED), edited),
            (PutLeaf("d/f/y", ONE), state),
            (PutFolder("d/g/"), replaced),
            (DeleteNode("d/g/"), replaced),
            (DeleteNode("d/new"), replaced),
            (MoveNode("e", "d/e"), replaced),
            (MoveNode("d/e", "e"), replaced),
            (MoveNode("d/f/", "f/"), replaced),
            (MoveNode("f/", "d/f/"), replaced),
            (MoveNode("d/f/", "d/h/"), replaced),
            (PutLeaf("d/i/j", ONE), replaced),
            (PutLeaves("d/", ("k",), (ONE,)), replaced),
            (PutFolder("d/", facts=ONE), replaced),
            (PutFolder("d/", facts=TWO), replaced),
            (PutFolder("d/", facts=TWO_EDITED), state),
            (SetMeta("d/a", NO_META), state),
        ]:
            await bench.apply(scanned)
            assert await bench.index.read_folder_states(["d/"]) == [state]
            await bench.apply(operation)
            assert await bench.index.read_folder_states(["d/"]) == [expected], operation

    async def test_the_states_of_moved_folders_are_kept_unless_they_are_copies(self, bench: Bench) -> None:
        await bench.apply(PutFolder("d/", facts=ONE), PutFolder("d/f/", facts=ONE), PutLeaf("d/f/x", ONE))
        scans = [FolderScanned("d/", 5, 6, b"d"), FolderScanned("d/f/", 7, 8, b"f")]
        for facts, ctime_ns, fingerprint in [(None, 6, b"d"), (ONE, 6, b"d"), (TWO, 0, b"")]:
            await bench.apply(*scans, MoveNode("d/", "e/", facts))
            assert await bench.index.read_folder_states(["e/", "e/f/"]) == [
                FolderState("e/", 5, ctime_ns, fingerprint),
                FolderState("e/f/", 7, 8, b"f"),
            ]
            await bench.apply(MoveNode("e/", "d/"))

    async def test_a_scan_after_the_changes_of_its_patch_holds(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("d/a", ONE), FolderScanned("d/", 1, 2, b"x"))
        assert await bench.index.read_folder_states(["d/"]) == [FolderState("d/", 1, 2, b"x")]
        await bench.apply(FolderScanned("d/", 1, 2, b"y"), PutLeaf("d/a", TWO))
        assert await bench.index.read_folder_states(["d/"]) == [FolderState("d/", 1, 0, b"")]

    async def test_a_missing_folder_can_not_have_been_scanned(self, bench: Bench) -> None:
        with pytest.raises(NotFound):
            await bench.apply(FolderScanned("d/", 1, 2))

    async def test_states_of_many_in_one_call_and_zeros_when_never_scanned(self, bench: Bench) -> None:
        await bench.apply(PutFolder("d/"), PutLeaf("leaf", ONE))
        states = await bench.index.read_folder_states(["", "x/", "d/", "leaf"])
        assert states == [FolderState("", 0, 0, b""), None, FolderState("d/", 0, 0, b""), None]

    async def test_states_of_a_subtree_page_by_page(self, bench: Bench) -> None:
        folders = ["d/"] + [f"d/{number}/" for number in range(9)] + ["d/3/x/"]
        await bench.apply(*(PutFolder(path) for path in folders), PutFolder("dd/"), PutFolder("c/"))
        await bench.apply(MoveNode("c/", "d/c/"))
        folders.append("d/c/")
        found: list[str] = []
        while True:
            page = await bench.index.list_folder_states("d/", found[-1] if found else "", 4)
            found += [state.path for state in page]
            if len(page) < 4:
                break
        assert sorted(found) == sorted(folders)
        everything = [state.path for state in await bench.index.list_folder_states()]
        assert everything[0] == ""
        assert sorted(everything) == sorted(["", "dd/", *folders])
        assert await bench.index.list_folder_states("none/") == []

    async def test_paging_goes_on_when_the_last_folder_went(self, bench: Bench) -> None:
        await bench.apply(*(PutFolder(f"{number}/") for number in range(6)))
        page = await bench.index.list_folder_states("", "", 3)
        await bench.apply(DeleteNode(page[-1].path))
        rest = await bench.index.list_folder_states("", page[-1].path, 10)
        assert sorted(state.path for state in [*page, *rest]) == ["", *(f"{number}/" for number in range(6))]


class TestLookUps:
    async def test_read_node_raises_not_found(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a/b", ONE))
        for path in ("x", "a", "a/b/", "a/b/c", "\udcff", "a/x/y/z"):
            with pytest.raises(NotFound):
                await bench.index.read_node(path)

    async def test_what_is_recalled_is_what_was_committed_last(self, bench: Bench) -> None:
        assert bench.index.recall_node("a") is None
        await bench.apply(PutLeaf("a", Facts(1, 1)))
        assert bench.index.recall_node("a") in (None, await bench.index.read_node("a"))
        await bench.apply(PutLeaf("a", Facts(2, 2)))
        assert bench.index.recall_node("a") in (None, await bench.index.read_node("a"))
        await bench.apply(MoveNode("a", "b/c"))
        assert bench.index.recall_node("a") is None
        assert bench.index.recall_node("b/c") in (None, await bench.index.read_node("b/c"))
        await bench.apply(DeleteNode("b/"))
        assert (bench.index.recall_node("b/"), bench.index.recall_node("b/c")) == (None, None)

    async def test_read_nodes_keeps_the_order(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a/b", ONE), PutLeaf("c", ONE))
        nodes = await bench.index.read_nodes(["c", "x", "a/", "", "a/b", "c", "\udcff"])
        assert [node and node.path for node in nodes] == ["c", None, "a/", "", "a/b", "c", None]
        assert await bench.index.read_nodes([]) == []

    async def test_find_node_by_any_form_of_its_uuid(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a/b", ONE, uuid=UUID_A))
        node = await bench.index.read_node("a/b")
        assert await bench.index.find_node(UUID_A) == node
        assert await bench.index.find_node(UUID_A.upper().replace("-", "")) == node
        assert await bench.index.find_node(UUID_B) is None
        assert await bench.index.find_node("nonsense") is None
        root = await bench.index.read_node("")
        assert await bench.index.find_node(root.uuid) == root

    async def test_find_inode_returns_all_hard_links(self, bench: Bench) -> None:
        other_device = Facts(ONE.size, ONE.mtime_ns, ONE.ino, dev=8)
        await bench.apply(PutLeaf("a", ONE), PutLeaf("d/b", ONE), PutLeaf("c", TWO), PutLeaf("e", other_device))
        assert sorted(node.path for node in await bench.index.find_inode(ONE.dev, ONE.ino)) == ["a", "d/b"]
        assert await bench.index.find_inode(ONE.dev, 999) == []

    async def test_find_inodes_answers_in_order(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE), PutLeaf("d/b", ONE), PutLeaf("c", TWO))
        pairs = [(TWO.dev, TWO.ino), (ONE.dev, 999), (ONE.dev, ONE.ino), (TWO.dev, TWO.ino), (2**63, 2**64 - 1)]
        found = await bench.index.find_inodes(pairs)
        assert [sorted(node.path for node in nodes) for nodes in found] == [["c"], [], ["a", "d/b"], ["c"], []]
        assert await bench.index.find_inodes([]) == []

    async def test_usage_counts_what_is_below(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a/b/c", TWO), PutLeaf("a/d", ONE), PutLeaf("e", ONE))
        assert await bench.index.usage("") == Usage(folders=2, files=3, bytes=4)
        assert await bench.index.usage("a/") == Usage(folders=1, files=2, bytes=3)
        assert await bench.index.usage("a/b/") == Usage(folders=0, files=1, bytes=2)
        for path in ("x/", "e"):
            with pytest.raises(NotFound):
                await bench.index.usage(path)

    async def test_stats_are_about_everything(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a/b", TWO))
        stats = await bench.index.stats()
        assert (stats.folders, stats.files, stats.bytes, stats.last_sequence) == (1, 1, 2, 2)
        assert stats.database_bytes >= 0


class TestChildren:
    async def test_children_come_in_byte_order_and_pages(self, bench: Bench) -> None:
        names = ["a", "a-b", "a/", "a0", "é", "\U0001f600", "\uffee"]
        await bench.apply(*(PutFolder(f"d/{n}") if n.endswith("/") else PutLeaf(f"d/{n}", ONE) for n in names))
        expected = sorted(names, key=str.encode)
        assert [node.path for node in await bench.index.list_children("d/")] == [f"d/{name}" for name in expected]
        found: list[str] = []
        while page := await bench.index.list_children("d/", found[-1] if found else "", 2):
            found += [node.path[2:] for node in page]
        assert found == expected
        assert [node.path for node in await bench.index.list_children("d/", "a.", 1)] == ["d/a/"]

    async def test_a_missing_folder_is_not_found(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE))
        for path in ("x/", "a"):
            with pytest.raises(NotFound):
                await bench.index.list_children(path)
        assert [node.path for node in await bench.index.list_children("")] == ["a"]


class TestKeys:
    async def test_what_is_a_key(self, bench: Bench) -> None:
        await bench.apply(
            PutFolder("empty-found/"),
            PutFolder("empty-implicit/", kind=FolderKind.IMPLICIT),
            PutFolder("empty-marker/", kind=FolderKind.MARKER),
            PutFolder("found/"),
            PutLeaf("found/leaf", ONE),
            PutFolder("marker/", kind=FolderKind.MARKER),
            PutLeaf("marker/leaf", ONE),
            PutFolder("outer/"),
            PutFolder("outer/inner/", kind=FolderKind.IMPLICIT),
        )
        keys = ["empty-found/", "empty-marker/", "found/leaf", "marker/", "marker/leaf"]
        assert await bench.keys() == keys
        page = await bench.index.list_keys()
        assert all(isinstance(entry, Node) for entry in page.entries)
        assert await bench.keys("", "/") == ["empty-found/", "empty-marker/", "found/", "marker/"]
        assert await bench.keys("marker/", "/") == ["marker/", "marker/leaf"]
        assert await bench.keys("marker/", "/", "marker/") == ["marker/leaf"]
        assert await bench.keys("outer/", "/") == []

    async def test_keys_and_common_prefixes_in_byte_order(self, bench: Bench) -> None:
        paths = ["a-b", "a/1", "a/b/2", "a0", "a", "é", "\U0001f600", "\uffee", "z/~"]
        await bench.apply(*(PutLeaf(path, ONE) for path in paths))
        assert await bench.keys() == sorted(paths, key=str.encode)
        page = await bench.index.list_keys("", "/")
        shown = [entry if isinstance(entry, str) else entry.path for entry in page.entries]
        assert shown == ["a", "a-b", "a/", "a0", "z/", "é", "\uffee", "\U0001f600"]
        assert [entry for entry in page.entries if isinstance(entry, str)] == ["a/", "z/"]

    @pytest.mark.parametrize("delimiter", ["", "/", "1", "/b"])
    async def test_every_page_size_gives_the_same_listing(self, bench: Bench, delimiter: str) -> None:
        paths = [f"{a}/{b}/{c}" for a in "ab" for b in "abc" for c in "12"] + ["a-", "a.1", "b0"]
        await bench.apply(*(PutLeaf(path, ONE) for path in paths))
        for prefix in ("", "a", "a/", "a/b", "b/c/2", "none"):
            whole = await bench.keys(prefix, delimiter)
            for limit in (1, 2, 3):
                found: list[str] = []
                after = ""
                while True:
                    page = await bench.index.list_keys(prefix, delimiter, after, limit)
                    found += [entry if isinstance(entry, str) else entry.path for entry in page.entries]
                    if not page.next_after:
                        break
                    assert (len(page.entries), page.next_after) == (limit, found[-1])
                    after = page.next_after
                assert found == whole

    async def test_after_skips_the_common_prefix_that_it_is_in(self, bench: Bench) -> None:
        await bench.apply(*(PutLeaf(path, ONE) for path in ("a/1", "a/2", "a0", "b/1")))
        for after in ("a/", "a/1", "a/1/x", "a/zzz"):
            assert await bench.keys("", "/", after) == ["a0", "b/"]
        assert await bench.keys("", "", "a/1") == ["a/2", "a0", "b/1"]
        assert await bench.keys("", "", "a/") == ["a/1", "a/2", "a0", "b/1"]
        assert await bench.keys("", "/", "a") == ["a/", "a0", "b/"]

    async def test_after_outside_the_prefix(self, bench: Bench) -> None:
        await bench.apply(*(PutLeaf(path, ONE) for path in ("a/1", "b/1", "b/2", "c/1")))
        for delimiter in ("", "/"):
            assert await bench.keys("b/", delimiter, "a/zz") == ["b/1", "b/2"]
            assert await bench.keys("b/", delimiter, "b/1") == ["b/2"]
            assert await bench.keys("b/", delimiter, "b0") == []
            assert await bench.keys("b/", delimiter, "c") == []
            assert await bench.keys("none/", delimiter) == []

    async def test_no_room_is_an_empty_page(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE))
        page = await bench.index.list_keys(limit=0)
        assert (page.entries, page.next_after) == ((), "")


class TestPatches:
    async def test_an_error_keeps_nothing_of_the_patch(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a/x", ONE, uuid=UUID_A), FolderScanned("a/", 1, 1, b"f"))
        with pytest.raises(NotFound):
            await bench.apply(
                PutLeaf("n/m", ONE),
                MoveNode("a/", "b/"),
                PutLeaf("b/x", TWO),
                DeleteNode("b/x"),
                SetMeta("missing", META),
            )
        assert await bench.keys() == ["a/x"]
        assert (await bench.index.read_node("a/x")).uuid == UUID_A
        assert await bench.index.read_folder_states(["a/"]) == [FolderState("a/", 1, 1, b"f")]
        assert [event.seq for event in bench.published] == [1, 2]
        assert [event.seq for event in await bench.apply(PutLeaf("n/m", ONE))] == [3, 4]

    async def test_an_error_does_not_touch_other_patches(self, bench: Bench) -> None:
        first = bench.index.submit(Patch((PutLeaf("a", ONE),)))
        second = bench.index.submit(Patch((PutLeaf("b", ONE), SetMeta("missing", META))))
        third = bench.index.submit(Patch((PutLeaf("c", ONE),)))
        with pytest.raises(NotFound):
            await second
        assert [event.seq for event in (*await first, *await third)] == [1, 2]
        assert await bench.keys() == ["a", "c"]

    async def test_submit_takes_its_place_before_it_returns(self, bench: Bench) -> None:
        pending = [bench.index.submit(Patch((PutLeaf("a", Facts(n, n)),))) for n in range(1, 6)]
        await bench.apply(DeleteNode("a"))
        assert [(await each)[0].kind for each in pending] == [EventKind.CREATE, *[EventKind.UPDATE_CONTENT] * 4]
        assert await bench.keys() == []

    async def test_operations_are_applied_in_order(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE), MoveNode("a", "b"), PutLeaf("a", TWO), DeleteNode("b"))
        assert [node.facts for node in await bench.index.list_children("")] == [TWO]

    async def test_what_was_published_is_what_was_returned(self, bench: Bench) -> None:
        returned = [*await bench.apply(PutLeaf("d/a", ONE)), *await bench.apply(MoveNode("d/", "e/"))]
        assert bench.published == returned

    async def test_a_bulk_patch_has_one_event(self, bench: Bench) -> None:
        operations = (PutFolder("b/", uuid=UUID_A), PutLeaf("b/c", ONE), PutLeaf("b/d", ONE))
        (event,) = await bench.index.apply(Patch(operations, "resync", bulk=True, bulk_path="b/"))
        assert (event.seq, event.kind, event.path, event.uuid) == (1, EventKind.RELOAD, "b/", UUID_A)
        (event,) = await bench.apply(PutLeaf("x", ONE), bulk=True)
        assert (event.seq, event.kind, event.path) == (2, EventKind.RELOAD, "")
        assert await bench.apply(PutLeaf("x", ONE), bulk=True) == ()
        assert await bench.keys() == ["b/c", "b/d", "x"]

    async def test_a_bulk_of_several_patches_has_one_event_at_its_end(self, bench: Bench) -> None:
        index = bench.index
        assert await index.apply(Patch((PutFolder("b/"),), bulk=True, bulk_path="b/", more=True)) == ()
        crowd = PutLeaves("b/", ("c", "d"), (ONE, TWO))
        assert await index.apply(Patch((crowd,), bulk=True, bulk_path="b/", more=True)) == ()
        (event,) = await bench.apply(PutLeaf("x", ONE))
        assert (event.seq, event.kind) == (1, EventKind.CREATE)
        assert await index.apply(Patch((PutLeaf("b/c", ONE),), bulk=True, bulk_path="b/", more=True)) == ()
        (event,) = await index.apply(Patch((), bulk=True, bulk_path="b/"))
        assert (event.seq, event.kind, event.path) == (2, EventKind.RELOAD, "b/")
        assert event.node == await index.read_node("b/")
        assert await index.apply(Patch((), bulk=True, bulk_path="b/")) == ()
        assert [each.seq for each in (await index.changes()).events] == [1, 2]

    async def test_no_event_is_owed_for_a_bulk_that_changed_nothing(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("a", ONE))
        assert await bench.index.apply(Patch((PutLeaf("a", ONE),), bulk=True, more=True)) == ()
        assert await bench.apply(bulk=True) == ()

    async def test_bulks_at_two_paths_are_told_at_the_root(self, bench: Bench) -> None:
        for path in ("a/", "b/"):
            await bench.index.apply(Patch((PutFolder(path),), bulk=True, bulk_path=path, more=True))
        (event,) = await bench.index.apply(Patch((), bulk=True, bulk_path="a/"))
        assert (event.kind, event.path) == (EventKind.RELOAD, "")

    async def test_a_bulk_patch_that_fails_owes_nothing(self, bench: Bench) -> None:
        with pytest.raises(NotFound):
            await bench.index.apply(Patch((PutLeaf("a", ONE), MoveNode("x", "y")), bulk=True, more=True))
        assert await bench.apply(bulk=True) == ()
        assert await bench.keys() == []


class TestPutLeaves:
    """Many files at once are what each of them alone would be."""

    async def test_new_files_get_a_row_a_uuid_and_an_event_each(self, bench: Bench) -> None:
        names = ("a", "b~", "é", "\U0001f600")
        events = await bench.apply(PutLeaves("d/e/", names, (ONE, TWO, ONE, TWO)))
        assert [(event.kind, event.path) for event in events] == [
            (EventKind.CREATE, path) for path in ["d/", "d/e/", *("d/e/" + name for name in names)]
        ]
        nodes = await bench.index.list_children("d/e/")
        assert [(node.path, node.facts) for node in nodes] == [
            ("d/e/" + name, facts) for name, facts in zip(names, (ONE, TWO, ONE, TWO), strict=True)
        ]
        assert nodes == [event.node for event in events[2:]]
        assert [time_of_uuid(node.uuid) is not None for node in nodes] == [True] * 4
        assert len({node.uuid for node in nodes}) == 4
        assert nodes == await bench.index.list_unhashed()
        assert await bench.index.usage("") == Usage(2, 4, 2 * ONE.size + 2 * TWO.size)
        assert [await bench.index.find_node(node.uuid) for node in nodes] == nodes
        assert await bench.index.verify() == []

    async def test_in_the_root_and_twice(self, bench: Bench) -> None:
        operation = PutLeaves("", ("a", "b"), (ONE, TWO))
        assert await bench.kinds(operation) == [(EventKind.CREATE, "a"), (EventKind.CREATE, "b")]
        assert await bench.apply(operation) == ()
        assert await bench.apply(PutLeaves("x/", (), ())) == ()
        assert [node.path for node in await bench.index.list_children("")] == ["a", "b"]

    async def test_known_names_and_any_order(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("d/m", ONE, etag=MD5), PutLeaf("d/n", ONE), PutFolder("d/z/"))
        before = await bench.index.read_node("d/n")
        told = await bench.kinds(PutLeaves("d/", ("a", "m", "n", "q"), (ONE, TWO, ONE, ONE)))
        assert told == [(EventKind.CREATE, "d/a"), (EventKind.UPDATE_CONTENT, "d/m"), (EventKind.CREATE, "d/q")]
        assert await bench.index.read_node("d/n") == before
        assert (await bench.index.read_node("d/m")).etag == ""
        told = await bench.kinds(PutLeaves("d/", ("y", "b", "b"), (ONE, ONE, TWO)))
        assert told == [
            (EventKind.CREATE, "d/y"),
            (EventKind.CREATE, "d/b"),
            (EventKind.UPDATE_CONTENT, "d/b"),
        ]
        assert await bench.kinds(PutLeaves("d/", ("c", "d"), (ONE, ONE))) == [
            (EventKind.CREATE, "d/c"),
            (EventKind.CREATE, "d/d"),
        ]
        assert await bench.keys() == ["d/a", "d/b", "d/c", "d/d", "d/m", "d/n", "d/q", "d/y", "d/z/"]
        assert await bench.index.verify() == []

    async def test_numbers_beyond_63_bits(self, bench: Bench) -> None:
        facts = tuple(
            Facts(**{"size": 1, "mtime_ns": 2, **odd})
            for odd in ({"ino": 2**64 - 1}, {"dev": 2**63}, {"mtime_ns": -(2**64)}, {"mtime_ns": 2**63})
        )
        await bench.apply(PutLeaves("", ("a", "b", "c", "d"), facts))
        assert tuple(node.facts for node in await bench.index.list_children("")) == facts

    async def test_a_bulk_patch_has_one_event(self, bench: Bench) -> None:
        names = tuple(f"{number:03}" for number in range(100))
        operations = (PutFolder("d/"), PutLeaves("d/", names, (ONE,) * 100))
        (event,) = await bench.index.apply(Patch(operations, "resync", bulk=True))
        assert (event.kind, event.path) == (EventKind.RELOAD, "")
        assert (await bench.index.read_node("d/050")).facts == ONE
        assert await bench.apply(PutLeaves("d/", names, (ONE,) * 100), bulk=True) == ()
        assert await bench.index.verify() == []

    async def test_clears_the_fingerprint(self, bench: Bench) -> None:
        await bench.apply(PutFolder("d/"), FolderScanned("d/", 1, 2, b"print"))
        await bench.apply(PutLeaves("d/", ("a",), (ONE,)))
        assert [state.fingerprint for state in await bench.index.list_folder_states("d/")] == [b""]
        await bench.apply(PutLeaves("d/", ("b",), (ONE,)), FolderScanned("d/", 1, 2, b"print"))
        assert [state.fingerprint for state in await bench.index.list_folder_states("d/")] == [b"print"]

    @pytest.mark.parametrize(
        ("path", "names"),
        [("d", ("a",)), ("d/", ("",)), ("d/", ("a", "b/c")), ("d/", ("a/",)), ("d/", ("\udc80",)), ("d/", ("é/x",))],
    )
    async def test_malformed_names_are_refused(self, bench: Bench, path: str, names: tuple[str, ...]) -> None:
        with pytest.raises(Invalid) as caught:
            await bench.apply(PutLeaves(path, names, (ONE,) * len(names)))
        assert caught.value.reason == "path"
        with pytest.raises(Invalid):
            await bench.apply(PutLeaves("d/", ("a", "b"), (ONE,)))
        assert await bench.keys() == []


class TestLog:
    async def test_changes_since_a_cursor(self, bench: Bench) -> None:
        published = [*await bench.apply(PutLeaf("a", ONE), PutLeaf("b", ONE)), *await bench.apply(SetMeta("a", META))]
        page = await bench.index.changes()
        assert [(event.seq, event.kind, event.path) for event in page.events] == [
            (event.seq, event.kind, event.path) for event in published
        ]
        assert (page.last, page.missed) == (3, False)
        assert page.events[2] == published[2]
        page = await bench.index.changes(since=1, limit=1)
        assert ([event.seq for event in page.events], page.last, page.missed) == ([2], 2, False)
        page = await bench.index.changes(since=3)
        assert (page.events, page.last, page.missed) == ((), 3, False)

    async def test_the_node_of_an_old_event_is_the_node_now_or_none(self, bench: Bench) -> None:
        await bench.apply(PutLeaf("d/a", ONE), PutLeaf("gone", ONE))
        await bench.apply(MoveNode("d/", "e/"), DeleteNode("gone"))
        events = (await bench.index.changes()).events
        shown = [(event.path, event.source, event.node and event.node.path) for event in events]
        assert shown == [
            ("d/", "", "e/"),
            ("d/a", "", "e/a"),
            ("gone", "", None),
            ("e/", "d/", "e/"),
            ("gone", "", None),
        ]

    async def test_old_events_are_trimmed_and_missed(self, bench: Bench) -> None:
        for number in range(KEPT + 20):
            await bench.apply(PutLeaf("a", Facts(number, number)))
        page = await bench.index.changes()
        assert page.missed
        assert page.last == KEPT + 20
        assert KEPT <= len(page.events) < KEPT + 20
        first = page.events[0].seq
        assert [event.seq for event in page.events] == list(range(first, KEPT + 21))
        assert not (await bench.index.changes(since=first - 1)).missed
        assert (await bench.index.changes(since=first - 2)).missed

    async def test_a_cursor_ahead_of_the_log_has_missed_everything(self, bench: Bench) -> None:
        page = await bench.index.changes()
        assert (page.events, page.last, page.missed) == ((), 0, False)
        await bench.apply(PutLeaf("a", ONE))
        page = await bench.index.changes(since=5)
        assert (page.events, page.last, page.missed) == ((), 1, True)
