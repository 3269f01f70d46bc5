"""What one user has locked others leave alone, on every way; locks stay with their nodes."""

import pytest

from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node_locks import ClearLock, ListLocks, LockKind, SetLock
from cellsmono.interfaces.people import DeleteUser
from cellsmono.kernel.errors import Locked


@pytest.fixture(params=["the-blobs", "the-plain"])
def slug(request):
    return request.param


@pytest.fixture
def tree_of(slug):
    """The tree path of a path in the workspace."""
    return lambda path: f"{slug.removeprefix('the-')}/{path}"


async def change(town, who, slug, path):
    """Everything that can be done to a file, the last of which leaves it where it was."""
    actor = town.actors[who]
    yield lambda: town.put(who, slug, path, b"other")
    yield lambda: town.router.update_meta(actor, slug, path, lambda meta: meta)
    yield lambda: town.copy(who, slug, "other", path)
    yield lambda: town.move(who, slug, path, path + "-moved")
    yield lambda: town.move(who, slug, "other", path)
    yield lambda: town.delete(who, slug, path)
    yield lambda: town.router.delete_version(actor, slug, path, "")
    yield lambda: town.router.create_upload(actor, slug, path, b"")


async def test_others_can_not_change_what_is_locked(town, slug, tree_of):
    await town.put("alice", slug, "folder/a", b"hers")
    await town.put("alice", slug, "other")
    await town.perform(SetLock(tree_of("folder/a"), "alice"))
    async for step in change(town, "bob", slug, "folder/a"):
        with pytest.raises(Locked) as caught:
            await step()
        assert (caught.value.message, caught.value.reason) == ("Locked by alice", "content_lock")
    with pytest.raises(Locked):
        await town.move("bob", slug, "folder/", "elsewhere/")
    [outcome] = await town.router.delete_nodes(town.actors["bob"], slug, ["folder/a"])
    assert isinstance(outcome, Locked)
    assert await town.read("bob", slug, "folder/a") == b"hers"
    await town.copy("bob", slug, "folder/a", "copy")
    await town.put("bob", slug, "folder/b")
    await town.put("bob", slug, "folder/ab")


async def test_the_holder_may_and_the_lock_stays_with_the_file(town, slug, tree_of):
    await town.put("alice", slug, "folder/a", b"hers")
    await town.perform(SetLock(tree_of("folder/a"), "alice"))
    await town.put("alice", slug, "folder/a", b"newer")
    await town.move("alice", slug, "folder/", "moved/")
    with pytest.raises(Locked):
        await town.put("bob", slug, "moved/a")
    [lock] = await town.perform(ListLocks())
    assert (lock.path, lock.login) == (tree_of("moved/a"), "alice")
    await town.perform(ClearLock(tree_of("moved/a")))
    await town.put("bob", slug, "moved/a")


async def test_an_upload_that_was_begun_before_does_not_slip_through(town, slug, tree_of):
    bob = town.actors["bob"]
    await town.put("alice", slug, "a", b"hers")
    upload = await town.router.create_upload(bob, slug, "a", b"")

    async def body():
        yield b"his"

    part = await town.router.put_part(bob, slug, upload.upload_id, 1, body(), PlainDigest(), 3)
    await town.perform(SetLock(tree_of("a"), "alice"))
    with pytest.raises(Locked):
        await town.router.complete_upload(bob, slug, upload.upload_id, [part], "e-1", WriteOptions())
    assert await town.read("alice", slug, "a") == b"hers"


async def test_a_lock_on_a_folder_is_one_on_all_in_it(town, slug, tree_of):
    await town.put("alice", slug, "folder/in/a")
    await town.perform(SetLock(tree_of("folder/"), "alice", LockKind.NODE))
    for who in ("alice", "bob"):
        with pytest.raises(Locked, match="alice"):
            await town.put(who, slug, "folder/new")
        with pytest.raises(Locked):
            await town.folder(who, slug, "folder/in/deep/")
        with pytest.raises(Locked):
            await town.delete(who, slug, "folder/in/a")
    await town.put("owner", tree_of("").rstrip("/"), "folder/new")


async def test_a_child_can_be_locked_before_it_is_there(town, slug, tree_of):
    await town.put("alice", slug, "folder/a")
    await town.perform(SetLock(tree_of("folder"), "alice", LockKind.CHILD, "new"))
    for path in ("folder/new", "folder/new/a"):
        with pytest.raises(Locked):
            await town.put("bob", slug, path)
    with pytest.raises(Locked):
        await town.move("bob", slug, "folder/", "moved/")
    for path in ("folder/newer", "folder/a", "new"):
        await town.put("bob", slug, path)


async def test_locks_go_with_their_user(town, slug, tree_of):
    await town.put("alice", slug, "a")
    await town.perform(SetLock(tree_of("a"), "alice"))
    await town.perform(DeleteUser("alice"))
    await town.put("bob", slug, "a")
    assert await town.perform(ListLocks()) == []
