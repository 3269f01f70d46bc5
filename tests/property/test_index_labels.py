"""Nested-set labels under trees and moves that are meant to use them up."""

import random
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsmono.datasource.index import labels
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.interfaces.patch import DeleteNode, MoveNode, Operation, Patch, PutFolder
from cellsmono.kernel.clock import ManualClock
from cellsmono.kernel.errors import AlreadyExists, Conflict, Corrupt, NotFound


@pytest.fixture
def rewritten(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each spreading of labels rewrote."""
    counts: list[int] = []
    spread = labels._spread

    def counted(*arguments: object) -> list[tuple[int, int, int]]:
        found = spread(*arguments)  # type: ignore[arg-type]
        counts.append(len(found))
        return found

    monkeypatch.setattr(labels, "_spread", counted)
    return counts


async def run(tmp_path: Path, operations: list[Operation], *, slices: int = 500) -> list[str]:
    index = await SqliteIndex.open(tmp_path / "i.db", datasource="d", durability="relaxed", clock=ManualClock())
    try:
        for at in range(0, len(operations), slices):
            await index.apply(Patch(tuple(operations[at : at + slices]), bulk=True))
        return await index.verify()
    finally:
        await index.close()


async def test_many_folders_in_one_folder_need_no_relabelling(tmp_path: Path, rewritten: list[int]) -> None:
    assert await run(tmp_path, [PutFolder(f"a/{number}/") for number in range(5000)]) == []
    assert rewritten == []


async def test_a_chain_of_folders(tmp_path: Path, rewritten: list[int]) -> None:
    assert await run(tmp_path, [PutFolder("a/" * depth) for depth in range(1, 401)]) == []
    assert sum(rewritten) / 400 < 25


async def test_a_random_deep_tree(tmp_path: Path, rewritten: list[int]) -> None:
    chance = random.Random(3)
    paths = [""]
    for number in range(4000):
        parent = paths[-1 - min(int(chance.expovariate(0.2)), len(paths) - 1)]
        paths.append(f"{parent}{number}/" if parent.count("/") < 60 else f"{number}/")
    assert await run(tmp_path, [PutFolder(path) for path in paths[1:]]) == []
    assert sum(rewritten) / 4000 < 4


async def test_one_folder_moved_to_and_fro(tmp_path: Path, rewritten: list[int]) -> None:
    operations: list[Operation] = [PutFolder(f"x/{number}/") for number in range(50)]
    operations += [PutFolder("a/b/c/"), PutFolder("d/")]
    places = ["x/", "a/b/c/x/", "d/x/", "a/x/"]
    operations += [MoveNode(places[n % 4], places[(n + 1) % 4]) for n in range(600)]
    assert await run(tmp_path, operations) == []
    assert sum(rewritten) / 600 < 50


async def test_ever_more_folders_moved_into_one(tmp_path: Path, rewritten: list[int]) -> None:
    operations: list[Operation] = [PutFolder("target/deep/")]
    for number in range(300):
        operations += [PutFolder(f"{number}/{child}/") for child in range(3)]
        operations.append(MoveNode(f"{number}/", f"target/deep/{number}/"))
    assert await run(tmp_path, operations) == []
    assert sum(rewritten) / 300 < 100


async def test_nesting_by_moves_alone(tmp_path: Path, rewritten: list[int]) -> None:
    """Each folder swallows the one before: the deepest carries all moves."""
    operations: list[Operation] = [PutFolder(f"{number}/") for number in range(200)]
    operations += [MoveNode(f"{number}/", f"{number + 1}/{number}/") for number in range(199)]
    assert await run(tmp_path, operations) == []


names = st.sampled_from(["a/", "b/", "c/"])
folders = st.lists(names, min_size=1, max_size=5).map("".join)
steps = st.one_of(
    st.builds(PutFolder, path=folders),
    st.builds(MoveNode, source=folders, path=folders),
    st.builds(DeleteNode, folders),
)


@pytest.mark.parametrize("span", [2**12, 2**62])
@settings(max_examples=25, deadline=None)
@given(run_of=st.lists(steps, min_size=10, max_size=60))
async def test_labels_nest_in_narrow_and_wide_spans(
    span: int, run_of: list[Operation], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A narrow span makes every way of relabelling happen at once; an error must still leave a sound tree."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("sqlite", "verify", "labels"):
            patch.setattr(f"cellsmono.datasource.index.{module}.HIGHEST", span)
        index = await SqliteIndex.open(
            tmp_path_factory.mktemp("labels") / "i.db", datasource="d", durability="relaxed", clock=ManualClock()
        )
        try:
            for step in run_of:
                with suppress(NotFound, Conflict, AlreadyExists, *([Corrupt] if span == 2**12 else [])):
                    await index.apply(Patch((step,)))
                assert await index.verify() == []
        finally:
            await index.close()
