import asyncio

import pytest

from cellsmono.app.config import ServerConfig
from cellsmono.app.oidc_clients import find_site
from cellsmono.idm.database import FILE_NAME
from cellsmono.idm.resets import LONGEST_SECONDS
from cellsmono.interfaces.people import CheckPassword, CreateUser, DeleteUser, LockUser, SetPassword
from cellsmono.interfaces.signing_in import CreateReset, ReadReset, UseReset
from cellsmono.kernel.errors import Forbidden, Invalid, NotFound

PASSWORD = "correct horse"


@pytest.fixture
async def people(open_people):
    people = await open_people()
    await people.perform(CreateUser("alice"))
    return people


async def refuse(people, secret):
    for request in (ReadReset(secret), UseReset(secret, PASSWORD)):
        with pytest.raises(Forbidden, match="not good"):
            await people.perform(request)


async def test_a_link_is_good_once_also_after_a_restart(people, open_people, tmp_path):
    made = await people.perform(CreateReset("Alice"))
    people = await open_people()
    assert (await people.perform(ReadReset(made.secret))).login == "alice"
    assert made.secret not in repr(made)
    for path in tmp_path.glob(FILE_NAME + "*"):
        assert made.secret.encode() not in path.read_bytes()
    await people.perform(UseReset(made.secret, PASSWORD))
    await people.perform(CheckPassword("alice", PASSWORD))
    await refuse(people, made.secret)
    await refuse(await open_people(), made.secret)


async def test_a_bad_password_uses_nothing_up(people):
    made = await people.perform(CreateReset("alice"))
    with pytest.raises(Invalid, match="too short"):
        await people.perform(UseReset(made.secret, "short"))
    await people.perform(UseReset(made.secret, PASSWORD))


async def test_two_at_once_use_it_once(people):
    made = await people.perform(CreateReset("alice"))
    tried = [people.perform(UseReset(made.secret, f"{PASSWORD} {number}")) for number in range(3)]
    done = await asyncio.gather(*tried, return_exceptions=True)
    assert sum(each is None for each in done) == 1


@pytest.mark.parametrize(
    "change", [lambda: SetPassword("alice", PASSWORD), lambda: LockUser("alice"), lambda: DeleteUser("alice"),
               lambda: CreateReset("alice")]
)  # fmt: skip
async def test_what_ends_a_link(people, open_people, change):
    made = await people.perform(CreateReset("alice"))
    await people.perform(change())
    await refuse(people, made.secret)
    await refuse(await open_people(), made.secret)


async def test_a_link_ends(people, clock):
    made = await people.perform(CreateReset("alice", 60))
    clock.advance(60)
    await refuse(people, made.secret)
    for seconds in (0, -1, LONGEST_SECONDS + 1):
        with pytest.raises(Invalid):
            await people.perform(CreateReset("alice", seconds))
    with pytest.raises(NotFound):
        await people.perform(CreateReset("nobody"))


def test_the_address_that_people_are_given():
    assert find_site(ServerConfig(external_url="https://a.test")) == "https://a.test"
    assert find_site(ServerConfig(listen="[::1]:8080")) == "http://[::1]:8080"
    with pytest.raises(Invalid, match="off"):
        find_site(ServerConfig(listen="off"))
