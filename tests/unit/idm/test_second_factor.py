import asyncio
import base64

import pytest

from cellsmono.idm.attempts import LOCK_AFTER, LONGEST_DELAY
from cellsmono.idm.database import FILE_NAME
from cellsmono.idm.one_time_codes import RECOVERY_CODES, STEP_SECONDS, code_at, step_at
from cellsmono.interfaces.people import CheckPassword, CreateUser, DeleteUser, ReadUser, SignIn
from cellsmono.interfaces.second_factor import ShownTotp
from cellsmono.interfaces.signing_in import DisableTotp, EnableTotp, ReadTotp, SignInBrowser
from cellsmono.interfaces.users import LOCK_PASSWORD
from cellsmono.kernel.errors import AlreadyExists, Forbidden, NotFound

PASSWORD = "correct horse"


@pytest.fixture
async def people(open_people):
    people = await open_people()
    await people.perform(CreateUser("alice", password=PASSWORD))
    return people


@pytest.fixture
async def made(people):
    return await people.perform(EnableTotp("alice"))


def generate(made, clock, later=0):
    """What a generator with the secret shows."""
    secret = base64.b32decode(made.secret + "=" * (-len(made.secret) % 8))
    return code_at(secret, step_at(clock.time()) + later)


async def is_let_in(people, code, password=PASSWORD):
    try:
        await people.perform(CheckPassword("alice", password, code))
    except Forbidden as error:
        if error.message != "Login failed":  # a delay would prove nothing
            raise
        return False
    return True


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (2000000000, "279037"), (20000000000, "353130")],
)
def test_codes_are_those_of_rfc_6238(seconds, code):
    assert code_at(b"12345678901234567890", step_at(seconds)) == code


async def test_who_has_none_needs_none(people):
    assert await is_let_in(people, "")
    assert await is_let_in(people, "123456"), "what is not asked for is not looked at"
    assert await people.perform(ReadTotp("alice")) == ShownTotp("alice")


async def test_a_code_is_good_once_and_none_before_it(people, made, open_people, clock):
    assert not await is_let_in(people, "")
    code = generate(made, clock)
    assert not await is_let_in(people, code, "wrong horse")
    clock.advance(LONGEST_DELAY)
    code = generate(made, clock)
    before = generate(made, clock, -1)
    assert await is_let_in(people, f" {code[:3]} {code[3:]}")
    assert not await is_let_in(people, code)
    people = await open_people()
    assert not await is_let_in(people, code), "not after a restart either"
    assert not await is_let_in(people, before)
    clock.advance(LONGEST_DELAY)
    assert await is_let_in(people, generate(made, clock))


@pytest.mark.parametrize(("steps", "good"), [(-2, False), (-1, True), (1, True), (2, False)])
async def test_clocks_may_be_a_little_off(people, made, clock, steps, good):
    assert await is_let_in(people, generate(made, clock, steps)) is good


async def test_many_at_once_use_a_code_once(people, made, clock):
    code = generate(made, clock)
    done = await asyncio.gather(*(is_let_in(people, code) for _ in range(3)))
    assert sorted(done) == [False, False, True]


@pytest.mark.parametrize("code", ["12345", "1234567", "abcdef", "\u0661\u0662\u0663\u0664\u0665\u0666", "", "-"])
async def test_what_is_no_code(people, made, code):
    assert not await is_let_in(people, code)


async def test_recovery_codes_are_good_once_each(people, made, open_people, clock, tmp_path):
    assert len(set(made.recovery_codes)) == RECOVERY_CODES
    first, second, *_ = made.recovery_codes
    assert await is_let_in(people, first.upper().replace("-", " "))
    assert not await is_let_in(people, first)
    people = await open_people()
    assert not await is_let_in(people, first)
    assert await is_let_in(people, second)
    shown = await people.perform(ReadTotp("alice"))
    assert (shown.is_enabled, shown.recovery_codes) == (True, RECOVERY_CODES - 2)
    for path in tmp_path.glob(FILE_NAME + "*"):
        assert second.encode() not in path.read_bytes()
        assert second.replace("-", "").encode() not in path.read_bytes()
    assert second not in repr(made)


async def test_wrong_codes_count_as_wrong_passwords(people, made, clock):
    for _ in range(LOCK_AFTER):
        clock.advance(LONGEST_DELAY)
        assert not await is_let_in(people, "000000")
    assert (await people.perform(ReadUser("alice"))).locks == (LOCK_PASSWORD,)
    clock.advance(LONGEST_DELAY)
    assert not await is_let_in(people, generate(made, clock))


@pytest.mark.parametrize("kind", [SignIn, SignInBrowser])
async def test_every_way_in_asks_for_it(people, made, clock, kind):
    with pytest.raises(Forbidden, match="Login failed"):
        await people.perform(kind("alice", PASSWORD))
    clock.advance(STEP_SECONDS)
    await people.perform(kind("alice", PASSWORD, code=generate(made, clock)))


async def test_it_is_removed(people, made, clock):
    with pytest.raises(AlreadyExists, match="user totp disable alice"):
        await people.perform(EnableTotp("alice"))
    await people.perform(DisableTotp("alice"))
    assert await is_let_in(people, "")
    with pytest.raises(NotFound, match="no second factor"):
        await people.perform(DisableTotp("alice"))
    again = await people.perform(EnableTotp("alice"))
    assert not await is_let_in(people, made.recovery_codes[0])
    assert await is_let_in(people, again.recovery_codes[0])


async def test_it_goes_with_the_user(people, made, open_people):
    await people.perform(DeleteUser("alice"))
    await people.perform(CreateUser("alice", password=PASSWORD))
    assert await is_let_in(people, "")
    assert await is_let_in(await open_people(), "")
