"""Sessions: begun by password, refreshed once with each refresh token, and ended by many things."""

import pytest
from msgspec import structs

from cellsmono.idm.auth import digest_of
from cellsmono.idm.database import APPLICATION_ID, FILE_NAME
from cellsmono.idm.sessions import ACCESS_SECONDS, MOST_SESSIONS, REFRESH_SECONDS
from cellsmono.idm.signing import GATEWAY_SECRET
from cellsmono.interfaces.people import (
    CreateToken,
    CreateUser,
    DeleteUser,
    ListTokens,
    LockUser,
    RefreshSession,
    RevokeToken,
    SetPassword,
    SignIn,
    UnlockUser,
)
from cellsmono.interfaces.tokens import TokenKind
from cellsmono.kernel.errors import Forbidden
from cellsmono.store.database import Database
from cellsmono.store.migrations import load_migrations

PASSWORD = "correct horse"


@pytest.fixture
async def people(open_people):
    people = await open_people()
    for login in ("alice", "bob"):
        await people.perform(CreateUser(login, password=PASSWORD))
    return people


def is_good(people, session):
    return people.signers.find_bearer(session.access) is not None


async def refuse(people, refresh):
    with pytest.raises(Forbidden, match=r"^Login failed$") as caught:
        await people.perform(RefreshSession(refresh))
    assert caught.value.reason == "login"


async def test_a_session_is_a_token_for_a_while(people, clock, tmp_path):
    session = await people.perform(SignIn("Alice", PASSWORD, "a browser"))
    found = people.signers.find_bearer(session.access)
    assert (found.user.login, found.token.kind, found.token.description) == ("alice", TokenKind.SESSION, "a browser")
    assert [token.id for token in await people.perform(ListTokens("alice"))] == [found.token.id]
    assert session.token.expires == clock.time() + ACCESS_SECONDS
    assert session.refresh_expires == clock.time() + REFRESH_SECONDS
    for text in (session.access, session.refresh):
        assert text.rpartition("_")[2] not in repr(session)
        for path in tmp_path.glob(FILE_NAME + "*"):
            assert text.rpartition("_")[2].encode() not in path.read_bytes()
    clock.advance(ACCESS_SECONDS)
    assert not is_good(people, session)


@pytest.mark.parametrize(
    ("login", "password"), [("alice", "wrong horse"), ("nobody", PASSWORD), ("", ""), ("alice", "")]
)
async def test_who_is_refused_gets_no_session(people, login, password):
    with pytest.raises(Forbidden, match=r"^Login failed$"):
        await people.perform(SignIn(login, password))
    assert await people.perform(ListTokens()) == []


async def test_a_session_goes_on_also_after_a_restart(people, open_people, clock):
    first = await people.perform(SignIn("alice", PASSWORD))
    clock.advance(ACCESS_SECONDS * 5)
    second = await people.perform(RefreshSession(first.refresh))
    assert not is_good(people, first)
    assert is_good(people, second)
    assert (second.token.id, second.token.created) == (first.token.id, first.token.created)
    again = await open_people()
    assert is_good(again, second)
    third = await again.perform(RefreshSession(second.refresh))
    assert is_good(again, third)
    assert not is_good(again, second)
    assert len(await again.perform(ListTokens())) == 1


async def test_a_refresh_token_that_is_used_twice_ends_the_session(people, open_people):
    first = await people.perform(SignIn("alice", PASSWORD))
    second = await people.perform(RefreshSession(first.refresh))
    people = await open_people()
    await refuse(people, first.refresh)
    assert not is_good(people, second)
    await refuse(people, second.refresh)
    assert await people.perform(ListTokens()) == []


async def test_what_is_no_refresh_token_ends_nothing(people, clock):
    session = await people.perform(SignIn("alice", PASSWORD))
    other = await people.perform(SignIn("bob", PASSWORD))
    mixed = session.refresh.rpartition("_")[0] + "_" + other.refresh.rpartition("_")[2]
    for text in ("", "cmr_", "x", session.access, session.refresh[:-1], session.refresh + "x", mixed):
        await refuse(people, text)
    assert is_good(people, session)
    clock.advance(REFRESH_SECONDS)
    await refuse(people, session.refresh)


async def test_what_ends_a_session(people):
    async def begin():
        return await people.perform(SignIn("alice", PASSWORD))

    kept = await people.perform(CreateToken("alice"))
    session = await begin()
    await people.perform(RevokeToken("alice", session.token.id))
    await refuse(people, session.refresh)
    assert not is_good(people, session)

    session = await begin()
    await people.perform(LockUser("alice"))
    await refuse(people, session.refresh)
    assert not is_good(people, session)
    await people.perform(UnlockUser("alice"))
    assert is_good(people, session)

    await people.perform(SetPassword("alice", PASSWORD + "!"))
    await refuse(people, session.refresh)
    assert not is_good(people, session)
    assert people.signers.find_bearer(kept.secret) is not None, "tokens that were made stay"

    session = await people.perform(SignIn("alice", PASSWORD + "!"))
    await people.perform(DeleteUser("alice"))
    await refuse(people, session.refresh)
    assert not is_good(people, session)


async def test_old_sessions_make_room(people, open_people, clock):
    ended = await people.perform(SignIn("bob", PASSWORD))
    clock.advance(REFRESH_SECONDS)
    first = await people.perform(SignIn("alice", PASSWORD))
    for _ in range(MOST_SESSIONS - 1):
        clock.advance(1)
        await people.perform(SignIn("alice", PASSWORD))
    assert is_good(people, first)
    assert len(await people.perform(ListTokens("alice"))) == MOST_SESSIONS
    clock.advance(1)
    newest = await people.perform(SignIn("alice", PASSWORD))
    assert not is_good(people, first)
    assert is_good(people, newest)
    people = await open_people()
    tokens = await people.perform(ListTokens())
    assert len(tokens) == MOST_SESSIONS
    assert not {first.token.id, ended.token.id} & {token.id for token in tokens}


async def test_the_token_of_a_session_signs_as_any_other(people):
    session = await people.perform(SignIn("alice", PASSWORD))
    assert people.signers.find_secret(session.access) == GATEWAY_SECRET
    assert people.signers.find_secret(session.refresh) is None
    assert people.signers.find_bearer(session.refresh) is None


async def test_tokens_of_an_earlier_version_stay_what_they_are(open_people, tmp_path):
    whole = load_migrations("cellsmono.idm", APPLICATION_ID)
    earlier = await Database.open(tmp_path / FILE_NAME, structs.replace(whole, steps=whole.steps[:4]), name="idm")
    text = "cmt_0123456789_" + "x" * 43

    def insert(tx):
        tx.execute(
            "INSERT INTO user_node VALUES ('U', 'ROOT_GROUP', 0, 'carol', 'carol', 'standard', '{}', '[]', '', 1, 0)"
        )
        tx.execute(
            "INSERT INTO auth_token VALUES ('0123456789', 'U', ?, 'laptop', '[]', 1.0, 0.0, 0.0)", (digest_of(text),)
        )

    await earlier.write(insert)
    await earlier.close()
    people = await open_people()
    found = people.signers.find_bearer(text)
    assert (found.user.login, found.token.kind, found.token.description) == ("carol", TokenKind.PERSONAL, "laptop")
