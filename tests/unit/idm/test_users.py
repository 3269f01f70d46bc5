import sqlite3
import stat

import pytest

from cellsmono.idm.database import FILE_NAME
from cellsmono.interfaces.people import (
    ChangeUser,
    CreateGroup,
    CreateUser,
    DeleteGroup,
    DeleteUser,
    ListGroups,
    ListUsers,
    LockUser,
    ReadUser,
    UnlockUser,
    list_requests,
    result_of,
)
from cellsmono.interfaces.users import LOCK_LOGOUT, ROOT_GROUP, Group, Profile, User, groups_above
from cellsmono.kernel.errors import AlreadyExists, Conflict, Corrupt, Invalid, NotFound


async def test_users_survive_a_restart(open_people, clock, tmp_path):
    people = await open_people()
    await people.perform(CreateGroup("/sales"))
    made = await people.perform(CreateUser("Alice", "/sales", Profile.ADMIN, {"email": "a@b.c", "empty": ""}))
    assert made == User(made.uuid, "Alice", "/sales", Profile.ADMIN, {"email": "a@b.c"}, created=clock.time())
    again = await open_people()
    assert await again.perform(ReadUser("Alice")) == made
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


async def test_logins_that_differ_in_case_are_one_user(people):
    await people.perform(CreateUser("Alice"))
    assert (await people.perform(ReadUser("aLICE"))).login == "Alice"
    with pytest.raises(AlreadyExists, match="'ALICE'"):
        await people.perform(CreateUser("ALICE"))


@pytest.mark.parametrize("login", ["a", "a.b-c_d+e@example.org", "9lives", "x" * 64])
async def test_good_logins(people, login):
    assert (await people.perform(CreateUser(login))).login == login


@pytest.mark.parametrize(
    "login", ["", ".", "..", "a/b", "a b", "a\0", "a\n", ".a", "-a", "@a", "\u0430lice", "é", "x" * 65, "a\\b", "a:b"]
)
async def test_bad_logins(people, login):
    with pytest.raises(Invalid, match="can not be a login"):
        await people.perform(CreateUser(login))
    assert await people.perform(ListUsers()) == []


@pytest.mark.parametrize(
    "attributes", [{"a b": "x"}, {"": "x"}, {"a": "x" * 1001}, {f"a{number}": "x" for number in range(51)}]
)
async def test_bad_attributes(people, attributes):
    with pytest.raises(Invalid):
        await people.perform(CreateUser("alice", attributes=attributes))
    await people.perform(CreateUser("alice"))
    with pytest.raises(Invalid):
        await people.perform(ChangeUser("alice", attributes=attributes))


async def test_users_are_changed_and_moved(open_people):
    people = await open_people()
    await people.perform(CreateUser("alice", attributes={"email": "a@b.c", "displayName": "A"}))
    await people.perform(CreateGroup("/sales"))
    changed = await people.perform(
        ChangeUser("alice", group="/Sales/", profile=Profile.SHARED, attributes={"email": "", "phone": "1"})
    )
    assert (changed.group, changed.profile, changed.attributes) == (
        "/sales",
        Profile.SHARED,
        {"displayName": "A", "phone": "1"},
    )
    with pytest.raises(NotFound, match="/nowhere"):
        await people.perform(ChangeUser("alice", group="/nowhere"))
    again = await open_people()
    assert await again.perform(ReadUser("alice")) == changed


async def test_a_deleted_user_is_gone_and_its_login_free(open_people):
    people = await open_people()
    first = await people.perform(CreateUser("alice"))
    await people.perform(DeleteUser("ALICE"))
    for request in (ReadUser("alice"), DeleteUser("alice"), ChangeUser("alice"), LockUser("alice")):
        with pytest.raises(NotFound, match="There is no user 'alice'"):
            await people.perform(request)
    second = await people.perform(CreateUser("alice"))
    assert second.uuid != first.uuid
    assert await (await open_people()).perform(ListUsers()) == [second]


async def test_users_are_listed_by_group(people):
    for path in ("/a", "/a/b", "/ab"):
        await people.perform(CreateGroup(path))
    for login, group in (("root", "/"), ("one", "/a"), ("two", "/a/b"), ("other", "/ab")):
        await people.perform(CreateUser(login, group))
    assert [user.login for user in await people.perform(ListUsers("/a"))] == ["one", "two"]
    assert [user.login for user in await people.perform(ListUsers())] == ["one", "other", "root", "two"]
    assert [group.path for group in await people.perform(ListGroups("/a"))] == ["/a", "/a/b"]
    with pytest.raises(NotFound):
        await people.perform(ListUsers("/c"))


async def test_groups_are_made_below_those_that_are_there(open_people):
    people = await open_people()
    assert await people.perform(ListGroups()) == [Group(ROOT_GROUP, "/")]
    with pytest.raises(NotFound):
        await people.perform(CreateGroup("/a/b"))
    await people.perform(CreateGroup("/Café"))
    made = await people.perform(CreateGroup("/Cafe\u0301/b c"))
    assert made.path == "/Café/b c"
    for taken in ("/", "/CAFÉ", "/Café/B C"):
        with pytest.raises(AlreadyExists):
            await people.perform(CreateGroup(taken))
    assert [group.path for group in await (await open_people()).perform(ListGroups())] == ["/", "/Café", "/Café/b c"]


@pytest.mark.parametrize("path", ["", "a", "//", "/a//b", "/.", "/..", "/.a", "/ a", "/a\0", "/" + "x" * 65])
async def test_bad_groups(people, path):
    await people.perform(CreateGroup("/a"))
    with pytest.raises((Invalid, AlreadyExists)):
        await people.perform(CreateGroup(path))


async def test_only_empty_groups_go(open_people):
    people = await open_people()
    await people.perform(CreateGroup("/a"))
    await people.perform(CreateGroup("/a/b"))
    await people.perform(CreateUser("alice", "/a/b"))
    for path in ("/a", "/a/b"):
        with pytest.raises(Conflict, match="not empty"):
            await people.perform(DeleteGroup(path))
    with pytest.raises(Invalid, match="everybody"):
        await people.perform(DeleteGroup("/"))
    await people.perform(DeleteUser("alice"))
    await people.perform(DeleteGroup("/a/b"))
    await people.perform(DeleteGroup("/a"))
    assert len(await (await open_people()).perform(ListGroups())) == 1


async def test_locks_come_and_go(open_people):
    people = await open_people()
    await people.perform(CreateUser("alice"))
    await people.perform(LockUser("alice"))
    assert (await people.perform(LockUser("alice"))).locks == (LOCK_LOGOUT,)
    people = await open_people()
    assert (await people.perform(ReadUser("alice"))).is_locked_out
    assert (await people.perform(UnlockUser("alice"))).locks == ()


async def test_what_can_not_be_read_is_named(open_people, tmp_path):
    people = await open_people()
    await people.perform(CreateUser("alice"))
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("UPDATE user_node SET profile = 'emperor' WHERE name = 'alice'")
    connection.close()
    with pytest.raises(Corrupt, match="'alice'"):
        await open_people()


def test_groups_above():
    assert groups_above("/") == ["/"]
    assert groups_above("/a/b") == ["/", "/a", "/a/b"]


def test_profiles_are_ordered():
    assert sorted(Profile, key=lambda profile: profile.rank) == ["anon", "shared", "standard", "admin"]


async def test_every_request_is_answered(people):
    modules = {kind.__module__ for kind in people._handlers}  # other rooms have requests of their own
    assert {kind for kind in list_requests().values() if kind.__module__ in modules} == set(people._handlers)
    assert result_of(CreateUser) is User
    assert result_of(ListUsers) == list[User]


def test_passwords_do_not_show():
    from cellsmono.interfaces.people import CheckPassword, SetPassword

    for request in (CreateUser("a", password="hush"), SetPassword("a", "hush"), CheckPassword("a", "hush")):
        assert "hush" not in repr(request)
