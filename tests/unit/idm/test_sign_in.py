import asyncio

import pytest
from argon2 import PasswordHasher

from cellsmono.idm.attempts import FREE_ATTEMPTS, LOCK_AFTER, LONGEST_DELAY, MOST_KEPT, Attempts
from cellsmono.idm.passwords import MOST_WAITING, Passwords
from cellsmono.interfaces.people import (
    CheckPassword,
    CreateUser,
    DeleteUser,
    LockUser,
    ReadUser,
    SetPassword,
    UnlockUser,
)
from cellsmono.interfaces.users import LOCK_PASSWORD
from cellsmono.kernel.errors import Forbidden, Invalid, NotFound, Unavailable

GOOD = "correct horse"


async def refusal(people, login, password) -> Forbidden:
    with pytest.raises(Forbidden) as caught:
        await people.perform(CheckPassword(login, password))
    assert str(caught.value).startswith("Login failed")
    return caught.value


async def fail(people, clock, login, times):
    """Wrong attempts, each as soon as it is looked at."""
    for _ in range(times):
        clock.advance(LONGEST_DELAY)
        assert (await refusal(people, login, "wrong password")).reason == "login"


async def test_a_right_password_lets_in_and_is_noted(open_people, clock):
    people = await open_people()
    await people.perform(CreateUser("alice", password=GOOD))
    clock.advance(100)
    assert (await people.perform(CheckPassword("Alice", GOOD))).last_login == clock.time()
    assert (await (await open_people()).perform(CheckPassword("alice", GOOD))).login == "alice"


async def test_whatever_is_wrong_the_answer_is_the_same(people, clock):
    await people.perform(CreateUser("alice", password=GOOD))
    await people.perform(CreateUser("locked", password=GOOD))
    await people.perform(LockUser("locked"))
    await people.perform(CreateUser("bare"))
    told = {
        (error.message, error.reason, error.path)
        for login, password in [
            ("alice", "wrong password"), ("alice", ""), ("nobody", GOOD), ("locked", GOOD), ("bare", ""), ("", ""),
            ("../etc", GOOD), ("alice\0", GOOD),
        ]
        for error in [await refusal(people, login, password)]
    }  # fmt: skip
    assert told == {("Login failed", "login", "")}


async def test_nobody_costs_what_somebody_costs(open_people, clock):
    """Every attempt that is looked at verifies one hash with the same parameters, whether there is a user or not."""

    class Counting(PasswordHasher):
        def verify(self, hash, password):
            seen.append(hash.rsplit("$", 2)[0])
            return super().verify(hash, password)

    seen: list[str] = []
    people = await open_people(Counting(time_cost=1, memory_cost=8, parallelism=1))
    await people.perform(CreateUser("alice", password=GOOD))
    await people.perform(CreateUser("bare"))
    for login in ("alice", "nobody", "bare"):
        await refusal(people, login, "wrong password")
        await refusal(people, login, "x" * 5000)
    assert seen == ["$argon2id$v=19$m=8,t=1,p=1"] * 6


async def test_delays_grow_and_are_the_same_for_nobody(people, clock):
    await people.perform(CreateUser("alice", password=GOOD))
    for login in ("alice", "nobody"):
        for _ in range(FREE_ATTEMPTS):
            assert (await refusal(people, login, "wrong password")).reason == "login"
        for seconds in (1, 2, 4):
            early = await refusal(people, login, GOOD)
            assert (early.reason, early.message) == ("login_delay", f"Login failed: try again in {seconds} seconds")
            clock.advance(seconds)
            assert (await refusal(people, login, "wrong password")).reason == "login"
    clock.advance(8)
    await people.perform(CheckPassword("alice", GOOD))
    assert (await refusal(people, "alice", "wrong password")).reason == "login", "a right one begins anew"


async def test_many_at_once_are_as_slow_as_one_by_one(people):
    await people.perform(CreateUser("alice", password=GOOD))
    refusals = await asyncio.gather(*(refusal(people, "alice", f"wrong {number}") for number in range(20)))
    assert [error.reason for error in refusals].count("login") == FREE_ATTEMPTS


async def test_too_many_wrong_ones_lock_until_somebody_unlocks(open_people, clock):
    people = await open_people()
    await people.perform(CreateUser("alice", password=GOOD))
    await fail(people, clock, "alice", LOCK_AFTER - 1)
    assert (await people.perform(ReadUser("alice"))).locks == ()
    await fail(people, clock, "alice", 1)
    await fail(people, clock, "nobody", LOCK_AFTER + 1)
    assert (await people.perform(ReadUser("alice"))).locks == (LOCK_PASSWORD,)
    people = await open_people()
    clock.advance(LONGEST_DELAY)
    assert (await refusal(people, "alice", GOOD)).reason == "login"
    assert (await people.perform(UnlockUser("alice"))).locks == ()
    await people.perform(CheckPassword("alice", GOOD))


async def test_a_new_password_ends_the_lock_of_wrong_ones_alone(people, clock):
    await people.perform(CreateUser("alice", password=GOOD))
    await fail(people, clock, "alice", LOCK_AFTER)
    await people.perform(SetPassword("alice", "another horse"))
    assert (await people.perform(CheckPassword("alice", "another horse"))).locks == ()
    assert (await refusal(people, "alice", GOOD)).reason == "login"
    await people.perform(LockUser("alice"))
    await people.perform(SetPassword("alice", GOOD))
    assert (await people.perform(ReadUser("alice"))).is_locked_out


async def test_a_user_who_goes_while_the_password_is_looked_at_is_refused(people):
    await people.perform(CreateUser("alice", password=GOOD))
    attempt = asyncio.create_task(refusal(people, "alice", GOOD))
    await asyncio.sleep(0)
    await people.perform(DeleteUser("alice"))
    assert (await attempt).reason == "login"


async def test_a_sign_in_brings_old_hashes_up_to_date(open_people):
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    new = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1)
    people = await open_people(old)
    user = await people.perform(CreateUser("alice", password=GOOD))
    people = await open_people(new)
    users = people.services.user
    assert users.hash_of(user.uuid).startswith("$argon2id$v=19$m=8,t=1,p=1$")
    await people.perform(CheckPassword("alice", GOOD))
    people = await open_people(new)
    users = people.services.user
    assert users.hash_of(user.uuid).startswith("$argon2id$v=19$m=16,t=2,p=1$")
    await people.perform(CheckPassword("alice", GOOD))


@pytest.mark.parametrize("password", ["short", "x" * 1001, "AliceInWonderland", "aaaaaaaaaaaa"])
async def test_passwords_that_are_no_good(people, password):
    login = "aliceinwonderland"
    with pytest.raises(Invalid, match="password"):
        await people.perform(CreateUser(login, password=password))
    with pytest.raises(NotFound):
        await people.perform(ReadUser(login))
    await people.perform(CreateUser(login))
    with pytest.raises(Invalid, match="password"):
        await people.perform(SetPassword(login, password))


async def test_unicode_forms_of_a_password_are_one(people):
    await people.perform(CreateUser("alice", password="un caf\u00e9 noir"))
    await people.perform(CheckPassword("alice", "un cafe\u0301 noir"))


async def test_a_crowd_is_turned_away_before_it_costs_anything():
    passwords = Passwords(PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    asked = [asyncio.create_task(passwords.verify("", "x")) for _ in range(MOST_WAITING + 5)]
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 5
    assert not (await passwords.verify("", "x")).is_right


def test_counts_are_bounded_and_forgotten(clock):
    attempts = Attempts(clock)
    for number in range(MOST_KEPT + 10):
        assert attempts.begin(f"user{number}") == 0
    assert len(attempts._counts) == MOST_KEPT
    for _ in range(FREE_ATTEMPTS):
        attempts.begin("late")
    assert attempts.begin("late") == 1
    clock.advance(90_000)
    for _ in range(FREE_ATTEMPTS):
        assert attempts.begin("late") == 0, "a day later the count begins anew"
