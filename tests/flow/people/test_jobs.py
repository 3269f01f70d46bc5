"""Jobs over datasources of both formats: what they carry along, what they leave, and that they go on after an end."""

import asyncio

import pytest

from cellsmono.interfaces.jobs import (
    DeleteJob,
    DeleteNodes,
    FindOrigins,
    JobKind,
    JobState,
    ListJobs,
    PauseJob,
    RestoreNodes,
    ResumeJob,
    StopJob,
    TransferNodes,
)
from cellsmono.interfaces.node import NodeMeta
from cellsmono.interfaces.node_locks import ClearLock, SetLock
from cellsmono.interfaces.people import DeleteUser, LockUser, SetAcl, SetQuota, TakeWorkspace
from cellsmono.kernel.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound

COPY, MOVE = JobKind.COPY, JobKind.MOVE
OTHER = {"the-blobs": "the-plain", "the-plain": "the-blobs"}
MTIME = 1_500_000_000_123_456_700
META = NodeMeta(content_type="text/x-test", headers={"cache-control": "no-store"}, user={"color": "red"})


@pytest.fixture(params=["the-blobs", "the-plain"])
def slug(request):
    return request.param


@pytest.fixture
async def town(town):
    for name in ("blobs", "plain"):
        await town.perform(SetAcl(name, "group:/", {"recycle_root": "1"}))
    async with town.core.jobs.lifespan():
        yield town


async def do(town, request, state=JobState.FINISHED):
    job = await town.core.jobs.wait((await town.perform(request)).id)
    assert job.state is state, job
    return job


async def copy(town, *nodes, to, into=True, state=JobState.FINISHED, kind=COPY, who="alice"):
    return await do(town, TransferNodes(who, kind, nodes, to, into), state)


async def move(town, *nodes, to, into=True, state=JobState.FINISHED, who="alice"):
    return await copy(town, *nodes, to=to, into=into, state=state, kind=MOVE, who=who)


async def delete(town, *nodes, who="alice", state=JobState.FINISHED, **options):
    return await do(town, DeleteNodes(who, nodes, **options), state)


async def fill(town, slug):
    """A tree with an empty folder, and a file that carries all that a file can."""
    await town.put("alice", slug, "tree/a.txt", b"first", mtime_ns=MTIME, meta=META)
    await town.put("alice", slug, "tree/in/deep/b", b"second")
    await town.put("alice", slug, "tree/z", b"last")
    await town.folder("alice", slug, "tree/empty/")


ALL = ["a.txt", "empty/", "in/deep/b", "z"]


async def keys_below(town, slug, prefix):
    return [key.removeprefix(prefix) for key in await town.keys("alice", slug, prefix)]


# copying and moving


@pytest.mark.parametrize("crosses", [False, True])
async def test_a_copy_carries_everything_along(town, slug, crosses):
    await fill(town, slug)
    to = OTHER[slug] if crosses else slug
    await town.folder("alice", to, "target/")
    job = await copy(town, f"{slug}/tree", to=f"{to}/target")
    assert (job.progress, job.bytes, job.message) == (1.0, 15, "7 copied")
    assert await keys_below(town, to, "target/tree/") == ALL
    assert await keys_below(town, slug, "tree/") == ALL
    node = await town.stat("alice", to, "target/tree/a.txt")
    assert (node.mtime_ns, node.meta.content_type) == (MTIME, "text/x-test")
    assert (node.meta.headers, node.meta.user) == (META.headers, META.user)
    assert await town.read("alice", to, "target/tree/in/deep/b") == b"second"
    await copy(town, f"{slug}/tree", f"{slug}/tree/z", to=f"{to}/target")
    await copy(town, f"{slug}/tree/z", to=f"{to}/target/renamed", into=False)
    assert await keys_below(town, to, "target/") == [
        "renamed", *(f"tree-1/{key}" for key in ALL), *(f"tree/{key}" for key in ALL), "z",
    ]  # fmt: skip


async def test_a_move_within_a_datasource_is_one_step_and_keeps_identities(town, slug):
    await fill(town, slug)
    uuids = [(await town.stat("alice", slug, path)).uuid for path in ("tree/", "tree/in/deep/b")]
    job = await move(town, f"{slug}/tree/", to=f"{slug}/new", into=False)
    assert (job.done, job.message) == (1, "1 moved")
    assert await keys_below(town, slug, "new/") == ALL
    assert uuids == [(await town.stat("alice", slug, path)).uuid for path in ("new/", "new/in/deep/b")]
    await move(town, f"{slug}/new/z", to=f"{slug}/new")
    assert await keys_below(town, slug, "new/") == ALL, "what is there already stays as it is"


async def test_a_move_across_datasources_leaves_nothing_behind(town, slug):
    await fill(town, slug)
    to = OTHER[slug]
    await town.folder("alice", to, "target/")
    await move(town, f"{slug}/tree", to=f"{to}/target")
    assert await keys_below(town, to, "target/tree/") == ALL
    assert await town.keys("alice", slug) == []
    node = await town.stat("alice", to, "target/tree/a.txt")
    assert (node.mtime_ns, node.meta.user) == (MTIME, META.user)
    await move(town, f"{to}/target/tree/a.txt", to=f"{slug}/own", into=False)
    assert await town.read("alice", slug, "own") == b"first"


async def test_between_workspaces_over_one_datasource_it_is_a_rename(town):
    await town.put("alice", "own", "flat/a")
    uuid = (await town.stat("alice", "own", "flat/a")).uuid
    await move(town, "own/flat/a", to="the-blobs")
    assert (await town.stat("alice", "the-blobs", "a")).uuid == uuid


async def test_what_can_not_be_is_said_at_once(town, slug):
    await fill(town, slug)
    cases = [
        (TransferNodes("alice", COPY, (f"{slug}/nothing",), slug), NotFound, f"There is no '{slug}/nothing'"),
        (TransferNodes("alice", COPY, (f"{slug}/tree",), f"{slug}/nothing"), NotFound, "There is no"),
        (TransferNodes("alice", COPY, (f"{slug}/tree",), "nowhere/x"), NotFound, "no workspace 'nowhere'"),
        (TransferNodes("alice", COPY, (f"{slug}/tree",), f"{slug}/tree/in"), Conflict, "can not come into itself"),
        (TransferNodes("alice", COPY, (f"{slug}/tree/z",), f"{slug}/tree/a.txt", False), AlreadyExists, "already"),
        (TransferNodes("alice", COPY, (), slug), Invalid, "at least one"),
        (TransferNodes("alice", COPY, (f"{slug}/tree", f"{slug}/tree/z"), f"{slug}/x", False), Invalid, "only one"),
        (TransferNodes("alice", JobKind.DELETE, (f"{slug}/tree",), slug), Invalid, "copied or moved"),
        (TransferNodes("alice", MOVE, (slug + "/",), OTHER[slug]), Invalid, "root of a workspace"),
        (DeleteNodes("alice", ("own/flat/",)), NotFound, "There is no"),
        (DeleteNodes("nobody", (f"{slug}/tree",)), NotFound, "no user 'nobody'"),
        (RestoreNodes("alice", (f"{slug}/tree",)), Conflict, "Nobody deleted this folder"),
    ]
    for request, error, message in cases:
        with pytest.raises(error, match=message):
            await town.perform(request)
    assert await town.perform(ListJobs()) == []
    assert await keys_below(town, slug, "tree/") == ALL


async def test_rights_hold_at_each_step(town, slug):
    await fill(town, slug)
    name = slug.removeprefix("the-")
    await town.perform(SetAcl(f"{name}/tree/in", "user:bob", {"deny": "1"}))
    job = await copy(town, f"{slug}/tree", to=f"{slug}/copy", into=False, who="bob")
    assert await keys_below(town, slug, "copy/") == ["a.txt", "empty/", "z"]
    assert job.progress == 1.0
    await move(town, f"{slug}/tree", to=f"{slug}/moved", into=False, who="bob", state=JobState.FAILED)
    await delete(town, f"{slug}/tree", who="bob", state=JobState.FAILED)
    await delete(town, f"{slug}/tree", who="bob", permanently=True, state=JobState.FAILED)
    assert await keys_below(town, slug, "tree/") == ["in/deep/b"], "what may be seen went, what is hidden stays"
    await town.perform(SetAcl(name, "user:bob", {"read": "1"}))
    for request in (
        DeleteNodes("bob", (f"{slug}/copy",)),
        TransferNodes("bob", MOVE, (f"{slug}/copy",), "own/flat"),
        TransferNodes("bob", COPY, (f"{slug}/copy",), slug),
    ):
        with pytest.raises(Forbidden):
            await town.perform(request)


async def test_a_quota_ends_a_copy(town, slug):
    await fill(town, slug)
    await town.perform(SetQuota("own", "group:/", 8))
    where = "flat" if slug == "the-blobs" else "plain"
    job = await copy(town, f"{slug}/tree", to=f"own/{where}", state=JobState.FAILED)
    assert "quota of 8 bytes" in job.message
    assert await town.keys("alice", "own") == [f"{where}/tree/a.txt", f"{where}/tree/empty/"]


# deleting


async def test_what_is_deleted_lies_in_the_bin_and_comes_back(town, slug):
    await fill(town, slug)
    name = slug.removeprefix("the-")
    uuid = (await town.stat("alice", slug, "tree/in/deep/b")).uuid
    await delete(town, f"{slug}/tree/in/deep/b")
    assert await town.keys("bob", slug, "recycle_bin/") == ["recycle_bin/b"]
    assert (await town.stat("alice", slug, "recycle_bin/b")).uuid == uuid
    assert await town.perform(FindOrigins((uuid, "x"))) == {uuid: f"{name}/tree/in/deep/b"}
    await town.put("alice", slug, "tree/in/deep/b", b"newer")
    await delete(town, f"{slug}/tree/in/deep/b")
    assert await town.keys("bob", slug, "recycle_bin/") == ["recycle_bin/b", "recycle_bin/b-1"]
    await do(town, RestoreNodes("alice", (f"{slug}/recycle_bin/b-1", f"{slug}/recycle_bin/b")))
    assert await town.read("alice", slug, "tree/in/deep/b") == b"newer"
    assert await town.read("alice", slug, "tree/in/deep/b-1") == b"second"
    assert await town.keys("alice", slug, "recycle_bin/") == []
    assert await town.perform(FindOrigins((uuid,))) == {}


async def test_a_folder_comes_back_whole_or_in_part_and_its_parents_with_it(town, slug):
    await fill(town, slug)
    await delete(town, f"{slug}/tree/in")
    await delete(town, f"{slug}/tree")
    assert await town.keys("alice", slug) == [
        "recycle_bin/in/deep/b", *(f"recycle_bin/tree/{key}" for key in ALL if not key.startswith("in/"))
    ]  # fmt: skip
    await do(town, RestoreNodes("alice", (f"{slug}/recycle_bin/in", f"{slug}/recycle_bin/tree/z")))
    assert await keys_below(town, slug, "tree/") == ["in/deep/b", "z"]
    await do(town, RestoreNodes("alice", (f"{slug}/recycle_bin/tree",)))
    assert await keys_below(town, slug, "tree-1/") == ["a.txt", "empty/"]


async def test_what_is_in_the_bin_and_what_has_none_goes_for_good(town, slug):
    await fill(town, slug)
    await delete(town, f"{slug}/tree/z", permanently=True)
    await delete(town, f"{slug}/tree")
    await delete(town, f"{slug}/recycle_bin/tree/in")
    assert await keys_below(town, slug, "recycle_bin/tree/") == ["a.txt", "empty/"]
    await delete(town, f"{slug}/recycle_bin")
    assert await town.keys("alice", slug) == []
    await town.perform(SetAcl(slug.removeprefix("the-"), "group:/", {"recycle_root": "0"}))
    await fill(town, slug)
    job = await delete(town, f"{slug}/tree")
    assert (job.done, job.bytes) == (7, 15)
    assert await town.keys("alice", slug) == []


async def test_s3_deletes_for_good(town, slug):
    await fill(town, slug)
    await town.delete("alice", slug, "tree/z")
    assert await town.keys("alice", slug, "recycle_bin/") == []


async def test_what_is_locked_stays_and_is_told_of(town, slug):
    await fill(town, slug)
    await town.perform(SetLock(f"{slug.removeprefix('the-')}/tree/in/deep/b", "bob"))
    job = await delete(town, f"{slug}/tree", state=JobState.FAILED)
    assert job.problems == (f"{slug}/tree/: Locked by bob",)
    job = await delete(town, f"{slug}/tree", permanently=True, state=JobState.FAILED)
    assert job.problems == (f"{slug}/tree/in/deep/b: Locked by bob",)
    assert await keys_below(town, slug, "tree/") == ["in/deep/b"]


async def test_same_names_deleted_at_once_do_not_meet(town, slug):
    for number in range(6):
        await town.put("alice", slug, f"{number}/same", b"%d" % number)
    jobs = [await town.perform(DeleteNodes("alice", (f"{slug}/{number}/same",))) for number in range(6)]
    for job in jobs:
        await town.core.jobs.wait(job.id)
    found = await town.keys("alice", slug, "recycle_bin/")
    assert {await town.read("alice", slug, path) for path in found} == {b"%d" % number for number in range(6)}


# control


class Gate:
    """Lets so many copies pass and holds the next one until it is opened."""

    def __init__(self, router, passes):
        self.real = router.copy_node
        self.passes = passes
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self.copies = []

    async def copy_node(self, actor, source_root, source, *rest):
        if len(self.copies) >= self.passes and not self.opened.is_set():
            self.reached.set()
            await self.opened.wait()
        self.copies.append(source)
        return await self.real(actor, source_root, source, *rest)


@pytest.fixture
def gate(town, monkeypatch):
    made = Gate(town.router, 2)
    monkeypatch.setattr(town.router, "copy_node", made.copy_node)
    return made


async def test_jobs_are_stopped_paused_and_resumed(town, slug, gate):
    await fill(town, slug)
    to = OTHER[slug]
    await town.folder("alice", to, "target/")
    job = await town.perform(TransferNodes("alice", MOVE, (f"{slug}/tree",), f"{to}/target"))
    await gate.reached.wait()
    [shown] = await town.perform(ListJobs("alice"))
    assert (shown.state, shown.done, shown.total) == (JobState.RUNNING, 5, 7)
    assert await town.perform(ListJobs("bob")) == []
    with pytest.raises(NotFound):
        await town.perform(StopJob(job.id, "bob"))
    with pytest.raises(Conflict):
        await town.perform(DeleteJob(job.id))
    paused = await town.perform(PauseJob(job.id, "alice"))
    assert (paused.state, paused.message) == (JobState.PAUSED, "paused: 5 moved")
    assert await keys_below(town, slug, "tree/") == ["z"]
    stopped = await town.perform(StopJob(job.id))
    assert stopped.state is JobState.STOPPED
    with pytest.raises(Conflict):
        await town.perform(PauseJob(job.id))
    gate.opened.set()
    done = await do(town, ResumeJob(job.id))
    assert await keys_below(town, to, "target/tree/") == ALL
    assert await town.keys("alice", slug) == []
    assert sorted(gate.copies) == ["tree/a.txt", "tree/in/deep/b", "tree/z"]
    assert done.ended > 0
    with pytest.raises(Conflict):
        await town.perform(ResumeJob(job.id))
    await town.perform(DeleteJob(job.id))
    assert await town.perform(ListJobs()) == []


async def test_the_user_is_looked_at_again_when_a_job_goes_on(town, slug, gate):
    await fill(town, slug)
    job = await town.perform(TransferNodes("alice", COPY, (f"{slug}/tree",), f"{slug}/copy", False))
    await gate.reached.wait()
    await town.perform(TakeWorkspace(slug, "group:/"))
    gate.opened.set()
    assert (await town.core.jobs.wait(job.id)).state is JobState.FAILED
    await town.perform(LockUser("alice"))
    assert (await do(town, ResumeJob(job.id), JobState.FAILED)).problems[0].endswith(f"no workspace '{slug}'")
    await town.perform(DeleteUser("alice"))
    assert (await do(town, ResumeJob(job.id), JobState.FAILED)).message == "The user was deleted"


async def test_something_that_came_meanwhile_is_not_replaced(town, slug, gate):
    await fill(town, slug)
    job = await town.perform(TransferNodes("alice", COPY, (f"{slug}/tree",), f"{slug}/copy", False))
    await gate.reached.wait()
    await town.put("bob", slug, "copy/z", b"his")
    gate.opened.set()
    job = await town.core.jobs.wait(job.id)
    assert job.problems == (f"{slug}/tree/z: Something else came to '{slug}/copy/z' meanwhile",)
    assert await town.read("bob", slug, "copy/z") == b"his"
    await town.delete("bob", slug, "copy/z")
    await do(town, ResumeJob(job.id))
    assert await keys_below(town, slug, "copy/") == ALL


async def test_what_failed_in_the_middle_is_tried_again(town, slug, gate):
    gate.passes = 1
    await fill(town, slug)
    lock = f"{slug.removeprefix('the-')}/tree/in"
    to = OTHER[slug]
    job = await town.perform(TransferNodes("alice", MOVE, (f"{slug}/tree",), f"{to}/moved", False))
    await gate.reached.wait()
    await town.perform(SetLock(lock, "bob"))
    gate.opened.set()
    job = await town.core.jobs.wait(job.id)
    assert job.problems[0] == f"{slug}/tree/in/deep/b: Locked by bob"
    assert await keys_below(town, slug, "tree/") == ["in/deep/b"]
    assert await keys_below(town, to, "moved/") == ["a.txt", "empty/", "z"], "no file is at both ends"
    job = await do(town, ResumeJob(job.id), JobState.FAILED)
    assert job.problems == (f"{slug}/tree/: Locked by bob",)
    await town.perform(ClearLock(lock))
    await do(town, ResumeJob(job.id))
    assert await keys_below(town, to, "moved/") == ALL
    assert await town.keys("alice", slug) == []


async def test_what_can_not_be_taken_away_is_not_copied_to_another_datasource(town, slug):
    await fill(town, slug)
    name = slug.removeprefix("the-")
    await town.perform(SetAcl(f"{name}/tree/in", "user:bob", {"read": "1"}))
    job = await move(town, f"{slug}/tree", to=OTHER[slug], who="bob", state=JobState.FAILED)
    assert job.problems == (f"{slug}/tree/: Access Denied",)
    assert await keys_below(town, slug, "tree/") == ALL


async def test_jobs_wait_while_nothing_runs_them(open_town):
    async with open_town("alice") as town:
        await town.put("alice", "the-blobs", "a")
        jobs = [await town.perform(DeleteNodes("alice", ("the-blobs/a",))) for _ in range(3)]
        assert (await town.perform(PauseJob(jobs[0].id))).state is JobState.PAUSED
        assert (await town.perform(StopJob(jobs[0].id))).state is JobState.STOPPED
        assert (await town.perform(StopJob(jobs[1].id))).state is JobState.STOPPED
        async with town.core.jobs.lifespan():
            assert (await town.core.jobs.wait(jobs[2].id)).state is JobState.FINISHED
        assert [job.state for job in await town.perform(ListJobs())] == [
            JobState.FINISHED, JobState.STOPPED, JobState.STOPPED,
        ]  # fmt: skip


@pytest.mark.parametrize("kind", [COPY, MOVE])
async def test_a_job_goes_on_after_a_restart(open_town, slug, kind, monkeypatch):
    to = OTHER[slug]
    async with open_town("alice", "bob") as town:
        await fill(town, slug)
        await town.folder("alice", to, "target/")
        gate = Gate(town.router, 2)
        monkeypatch.setattr(town.router, "copy_node", gate.copy_node)
        async with town.core.jobs.lifespan():
            job = await town.perform(TransferNodes("alice", kind, (f"{slug}/tree",), f"{to}/target"))
            await gate.reached.wait()
    async with open_town() as town:
        town.actors["alice"] = await town.actor("alice")
        [found] = await town.perform(ListJobs())
        assert (found.id, found.state) == (job.id, JobState.RUNNING)
        async with town.core.jobs.lifespan():
            assert (await town.core.jobs.wait(job.id)).state is JobState.FINISHED
        assert await keys_below(town, to, "target/tree/") == ALL
        assert await town.keys("alice", slug) == ([f"tree/{key}" for key in ALL] if kind is COPY else [])
