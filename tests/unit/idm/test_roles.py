import sqlite3

import pytest

from cellsmono.idm.database import FILE_NAME
from cellsmono.interfaces.people import (
    ChangeRole,
    ChangeUser,
    CreateGroup,
    CreateRole,
    CreateUser,
    DeleteRole,
    DeleteUser,
    GiveRole,
    ListRoles,
    SetAcl,
    TakeRole,
)
from cellsmono.interfaces.roles import ADMINS, RoleKind
from cellsmono.interfaces.users import Profile
from cellsmono.kernel.errors import AlreadyExists, Invalid, NotFound


async def order(people, login):
    return [f"{role.kind}:{role.label}" for role in await people.perform(ListRoles(login))]


async def test_roles_of_a_user_stand_in_one_order(open_people, clock):
    people = await open_people()
    await people.perform(CreateGroup("/a"))
    await people.perform(CreateGroup("/a/b"))
    await people.perform(CreateUser("alice", "/a/b"))
    await people.perform(CreateRole("Late", auto_applies=(Profile.STANDARD,)))
    for label in ("One", "Two", "Three"):
        await people.perform(CreateRole(label, is_team=label == "Two"))
    for label in ("two", "One"):
        await people.perform(GiveRole(label, "alice"))
    expected = ["group:/", "group:/a", "group:/a/b", "role:Late", "team:Two", "role:One", "user:alice"]
    assert await order(people, "alice") == expected
    people = await open_people()
    assert await order(people, "ALICE") == expected
    await people.perform(GiveRole("Late", "alice"))
    assert await order(people, "alice") == [*expected[:3], *expected[4:6], "role:Late", "user:alice"]
    await people.perform(ChangeUser("alice", group="/a", profile=Profile.ADMIN))
    await people.perform(TakeRole("Late", "alice"))
    assert await order(people, "alice") == [
        "group:/", "group:/a", "role:Administrators", "team:Two", "role:One", "user:alice",
    ]  # fmt: skip


async def test_roles_are_made_changed_and_listed(open_people):
    people = await open_people()
    made = await people.perform(CreateRole("Editors", auto_applies=(Profile.ADMIN, Profile.SHARED, Profile.ADMIN)))
    assert made.auto_applies == (Profile.SHARED, Profile.ADMIN)
    changed = await people.perform(ChangeRole("EDITORS", "editors", ()))
    assert (changed.label, changed.auto_applies, changed.uuid) == ("editors", (), made.uuid)
    await people.perform(CreateUser("alice"))
    await people.perform(GiveRole(made.uuid, "alice"))
    people = await open_people()
    administrators, editors = await people.perform(ListRoles())
    assert (administrators.uuid, administrators.auto_applies) == (ADMINS, (Profile.ADMIN,))
    assert (editors.label, editors.kind, editors.members) == ("editors", RoleKind.ROLE, ("alice",))


@pytest.mark.parametrize("label", ["", " a", "a ", "x" * 65, "a\n", "a\0"])
async def test_bad_labels(people, label):
    with pytest.raises(Invalid):
        await people.perform(CreateRole(label))
    with pytest.raises(Invalid):
        await people.perform(ChangeRole(ADMINS, label))


async def test_labels_and_memberships_are_unique(people):
    await people.perform(CreateRole("Editors"))
    await people.perform(CreateUser("alice"))
    for label in ("EDITORS", "administrators", "ADMINS"):
        with pytest.raises(AlreadyExists):
            await people.perform(CreateRole(label))
    with pytest.raises(AlreadyExists):
        await people.perform(ChangeRole("Editors", "Administrators"))
    with pytest.raises(NotFound, match="was not given"):
        await people.perform(TakeRole("Editors", "alice"))
    await people.perform(GiveRole("Editors", "alice"))
    with pytest.raises(AlreadyExists):
        await people.perform(GiveRole("Editors", "alice"))
    for request in (GiveRole("Nobodies", "alice"), GiveRole("Editors", "nobody"), DeleteRole("Nobodies")):
        with pytest.raises(NotFound):
            await people.perform(request)


async def test_roles_and_users_go_with_all_that_refers_to_them(open_people, tmp_path):
    people = await open_people()
    for label in ("One", "Two"):
        await people.perform(CreateRole(label))
    for login in ("alice", "bob"):
        await people.perform(CreateUser(login))
        for label in ("One", "Two"):
            await people.perform(GiveRole(label, login))
        await people.perform(SetAcl("/", f"user:{login}", {"read": "1"}))
    await people.perform(SetAcl("/", "role:One", {"read": "1"}))
    await people.perform(SetAcl("/", "role:Two", {"read": "1"}))
    await people.perform(DeleteRole("One"))
    await people.perform(DeleteUser("alice"))
    assert await order(people, "bob") == ["group:/", "role:Two", "user:bob"]
    assert await order(await open_people(), "bob") == ["group:/", "role:Two", "user:bob"]
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        assert connection.execute("SELECT count(*) FROM role_member").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM acl_acl WHERE workspace = ''").fetchone() == (2,)
    connection.close()
    with pytest.raises(Invalid, match="all administrators"):
        await (await open_people()).perform(DeleteRole("Administrators"))
