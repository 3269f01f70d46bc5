"""Sessions: begun by password, refreshed once with each refresh token, and ended by many things."""

import pytest
from msgspec import structs

from cellsmono.idm.auth import digest_of
from cellsmono.idm.database import APPLICATION_ID, FILE_NAME
from cellsmono.idm.sessions import (
    ACCESS_SECONDS,
    BROWSER_IDLE_SECONDS,
    BROWSER_SECONDS,
    LONGEST_SECONDS,
    MOST_SESSIONS,
    REFRESH_SECONDS,
)
from cellsmono.idm.signing import GATEWAY_SECRET
from cellsmono.interfaces.people import (
    CreateToken,
    CreateUser,
    DeleteUser,
    EndSession,
    ListSessions,
    ListTokens,
    LockUser,
    ReadUser,
    RefreshSession,
    RevokeToken,
    SetPassword,
    SignIn,
    UnlockUser,
)
from cellsmono.interfaces.sessions import Origin
from cellsmono.interfaces.tokens import TokenKind
from cellsmono.kernel.errors import Forbidden, NotFound
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
    assert not is_good(people, session), "a lock ends it for good"

    session = await begin()
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


async def test_any_refresh_token_that_was_used_ends_the_session(people, open_people):
    session = first = await people.perform(SignIn("alice", PASSWORD))
    for _ in range(5):
        session = await people.perform(RefreshSession(session.refresh))
    people = await open_people()
    await refuse(people, first.refresh)
    assert not is_good(people, session)
    await refuse(people, session.refresh)


async def test_a_session_ends_however_often_it_is_refreshed(people, clock):
    session = await people.perform(SignIn("alice", PASSWORD))
    ends = clock.time() + LONGEST_SECONDS
    while clock.time() + REFRESH_SECONDS - 1 < ends:
        clock.advance(REFRESH_SECONDS - 1)
        session = await people.perform(RefreshSession(session.refresh))
    assert session.refresh_expires == ends
    clock.advance(ends - clock.time())
    await refuse(people, session.refresh)


async def test_a_refresh_token_is_good_for_its_client_alone(people):
    session = await people.perform(SignIn("alice", PASSWORD, client="cells-sync"))
    with pytest.raises(Forbidden):
        await people.perform(RefreshSession(session.refresh, "cells-mobile"))
    again = await people.perform(RefreshSession(session.refresh, "cells-sync"))
    assert is_good(people, again)


async def test_sessions_are_listed_and_ended(people, open_people, clock):
    began = clock.time()
    session = await people.perform(SignIn("alice", PASSWORD, "an agent", "cells-sync", "192.0.2.7"))
    clock.advance(1)
    await people.perform(SignIn("bob", PASSWORD))
    clock.advance(499)
    session = await people.perform(RefreshSession(session.refresh))
    people = await open_people()
    [shown] = await people.perform(ListSessions("alice"))
    assert (shown.id, shown.login, shown.kind) == (session.token.id, "alice", TokenKind.SESSION)
    assert (shown.client, shown.agent, shown.address) == ("cells-sync", "an agent", "192.0.2.7")
    assert (shown.created, shown.last_used) == (began, began + 500)
    assert (shown.expires, shown.ends) == (began + 500 + REFRESH_SECONDS, began + LONGEST_SECONDS)
    assert [each.login for each in await people.perform(ListSessions())] == ["alice", "bob"]
    for login, session_id in (("bob", shown.id), ("alice", "0example00")):
        with pytest.raises(NotFound, match="has no session"):
            await people.perform(EndSession(login, session_id))
    await people.perform(EndSession("alice", shown.id))
    assert not is_good(people, session)
    await refuse(people, session.refresh)
    clock.advance(REFRESH_SECONDS)
    assert await (await open_people()).perform(ListSessions()) == [], "what has ended is not told"


async def test_what_a_client_did_not_ask_for_is_not_kept(people, clock):
    sessions = people.services.sessions
    alice = await people.perform(ReadUser("alice"))
    session = await sessions.begin(alice, Origin(), "openid", is_lasting=False)
    assert (session.refresh, session.refresh_expires) == ("", clock.time() + ACCESS_SECONDS)
    stored = people.services.auth.find_id(session.token.id)
    assert (sessions.read_scope(stored), sessions.is_full(stored)) == ("openid", False)
    assert not is_good(people, session), "it tells who somebody is, and no more"
    await refuse(people, f"cmr_{session.token.id}_")
    clock.advance(ACCESS_SECONDS)
    assert await people.perform(ListSessions()) == []


async def test_a_browser_is_no_bearer(people, clock):
    sessions = people.services.sessions
    alice = await people.perform(ReadUser("alice"))
    browser = await sessions.begin_browser(alice, Origin("", "Firefox", "192.0.2.7"))
    other = browser.secret.replace("cmb_", "cmt_")
    for text in (browser.secret, other):
        assert people.signers.find_bearer(text) is None
        assert people.signers.find_secret(text) is None
        assert people.signers.find_user(text) is None
    session = await people.perform(SignIn("alice", PASSWORD))
    for text in (other, "cmb_", "", session.access, session.access.replace("cmt_", "cmb_")):
        assert sessions.find_browser(text) is None
    assert sessions.find_browser(browser.secret).user == alice.uuid
    assert browser.secret.rpartition("_")[2] not in repr(browser)


async def test_a_browser_that_rests_or_grows_old_is_signed_out(people, open_people, clock):
    alice = await people.perform(ReadUser("alice"))
    browser = await people.services.sessions.begin_browser(alice, Origin())
    began = clock.time()
    clock.advance(BROWSER_IDLE_SECONDS - 1)
    assert people.services.sessions.find_browser(browser.secret)
    people = await open_people()
    [shown] = await people.perform(ListSessions())
    assert (shown.kind, shown.expires) == (TokenKind.BROWSER, clock.time() + BROWSER_IDLE_SECONDS)
    clock.advance(BROWSER_IDLE_SECONDS)
    assert people.services.sessions.find_browser(browser.secret) is None
    assert await people.perform(ListSessions()) == []
    browser = await people.services.sessions.begin_browser(alice, Origin())
    began = clock.time()
    while clock.time() - began < BROWSER_SECONDS:
        assert people.services.sessions.find_browser(browser.secret)
        clock.advance(BROWSER_IDLE_SECONDS / 2)
    assert people.services.sessions.find_browser(browser.secret) is None


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
