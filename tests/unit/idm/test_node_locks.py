"""Locks as they are set, listed and lifted."""

import pytest

from cellsmono.interfaces.node_locks import ClearLock, ListLocks, LockKind, NodeLock, SetLock
from cellsmono.interfaces.people import CreateUser, SetAcl
from cellsmono.interfaces.router import Actor
from cellsmono.kernel.errors import Invalid, Locked, NotFound


@pytest.fixture
async def people(open_people, tree):
    tree.update({"docs/": "DATASOURCE:docs", "docs/a/": "uuid-a", "docs/f": "uuid-f"})
    people = await open_people()
    for login in ("alice", "bob"):
        await people.perform(CreateUser(login))
    return people


def uuid_of(people, login):
    return people.services.user.read(login).uuid


async def test_locks_are_set_listed_and_lifted(people):
    alice = uuid_of(people, "alice")
    assert await people.perform(SetLock("docs/f", "alice")) == NodeLock("docs/f", LockKind.CONTENT, alice, "alice")
    await people.perform(SetLock("docs/f", "alice"))
    await people.perform(SetLock("docs/f", "bob", LockKind.NODE))
    await people.perform(SetLock("docs/a", "bob", LockKind.CHILD, "x"))
    shown = [(lock.path, lock.kind, lock.login, lock.name) for lock in await people.perform(ListLocks())]
    assert shown == [
        ("docs/a/", LockKind.CHILD, "bob", "x"),
        ("docs/f", LockKind.CONTENT, "alice", ""),
        ("docs/f", LockKind.NODE, "bob", ""),
    ]
    assert len(await people.perform(ListLocks("docs/f"))) == 2
    await people.perform(ClearLock("docs/f", "bob"))
    await people.perform(ClearLock("docs/a", kind=LockKind.CHILD))
    assert [lock.login for lock in await people.perform(ListLocks())] == ["alice"]
    await people.perform(ClearLock("docs/f"))
    assert await people.perform(ListLocks()) == []


async def test_what_can_not_be(people):
    await people.perform(SetLock("docs/f", "alice"))
    with pytest.raises(Locked, match="Locked by alice"):
        await people.perform(SetLock("docs/f", "bob"))
    for path, name in (("docs/f", "x"), ("docs/a", ""), ("docs/a", "x/y")):
        with pytest.raises(Invalid, match="a child lock is set on a folder"):
            await people.perform(SetLock(path, "bob", LockKind.CHILD, name))
    with pytest.raises(Invalid, match="only a child lock"):
        await people.perform(SetLock("docs/f", "alice", name="x"))
    with pytest.raises(NotFound, match="no such lock"):
        await people.perform(ClearLock("docs/f", "bob"))
    with pytest.raises(Invalid, match="held by a user"):
        await people.perform(SetAcl("docs/f", "group:/", {"content_lock": "alice"}))


async def test_views_stay_as_they_are_and_locks_are_read_anew(people, tree):
    await people.perform(SetAcl("docs", "user:alice", {"read": "1"}))
    actor = Actor("alice", "user", user=uuid_of(people, "alice"))
    view = await people.views.open_view(actor, "personal-files")
    none = await people.views.read_locks()
    assert not none.locks
    assert await people.views.read_locks() is none
    await people.perform(SetLock("docs/f", "alice"))
    locks = await people.views.read_locks()
    locks.check("docs/f", actor.user, "f")
    with pytest.raises(Locked):
        locks.check("docs/f", uuid_of(people, "bob"), "f")
    assert await people.views.open_view(actor, "personal-files") is view
    assert await people.views.read_locks() is locks
