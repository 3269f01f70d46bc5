import pytest

from cellsmono.app.signers import AllSigners
from cellsmono.idm.signing import GATEWAY_SECRET
from cellsmono.interfaces.credentials import UserKey
from cellsmono.interfaces.people import (
    CreateKeyPair,
    CreateToken,
    CreateUser,
    DeleteUser,
    ListTokens,
    LockUser,
    RevokeKeyPair,
    RevokeToken,
    UnlockUser,
)

SCOPE = "node:01a22edc-372d-7820-b142-ef3998170b8b:rw"


@pytest.fixture
async def alice(people):
    return await people.perform(CreateUser("alice"))


async def test_a_token_is_its_own_proof(people, alice, clock):
    made = await people.perform(CreateToken("alice", scopes=(SCOPE,)))
    assert people.signers.find_secret(made.secret) == GATEWAY_SECRET
    found = people.signers.find_user(made.secret)
    assert found == UserKey(alice.uuid, "alice", f"cmt_{made.token.id}", (SCOPE,))
    assert made.secret.rpartition("_")[2] not in repr(found)


@pytest.mark.parametrize(
    "change", [lambda text: text[:-1], lambda text: text + "a", str.upper, lambda text: "cmt_", lambda text: ""]
)
async def test_anything_else_is_none(people, alice, change):
    made = await people.perform(CreateToken("alice"))
    other = await people.perform(CreateToken("alice"))
    mixed = made.secret.rpartition("_")[0] + "_" + other.secret.rpartition("_")[2]
    for text in (change(made.secret), mixed):
        assert people.signers.find_secret(text) is None
        assert people.signers.find_user(text) is None


async def test_a_token_expires(people, alice, clock):
    made = await people.perform(CreateToken("alice", seconds=60))
    clock.advance(59.9)
    assert people.signers.find_secret(made.secret)
    clock.advance(0.1)
    assert people.signers.find_secret(made.secret) is None
    assert people.signers.find_user(made.secret) is None


async def test_whoever_is_out_signs_no_more(people, alice):
    token = await people.perform(CreateToken("alice"))
    pair = await people.perform(CreateKeyPair("alice"))
    keys = (token.secret, pair.access_key)
    assert [people.signers.find_secret(key) for key in keys] == [GATEWAY_SECRET, pair.secret]
    await people.perform(LockUser("alice"))
    assert [people.signers.find_secret(key) for key in keys] == [None, None]
    await people.perform(UnlockUser("alice"))
    await people.perform(RevokeToken("alice", token.token.id))
    await people.perform(RevokeKeyPair("alice", pair.access_key))
    assert [people.signers.find_secret(key) for key in keys] == [None, None]
    again = await people.perform(CreateKeyPair("alice"))
    await people.perform(DeleteUser("alice"))
    assert people.signers.find_secret(again.access_key) is None
    assert people.signers.find_user(again.access_key) is None


async def test_the_last_use_is_kept_to_the_minute(open_people, clock):
    people = await open_people()
    await people.perform(CreateUser("alice"))
    made = await people.perform(CreateToken("alice"))
    moments = []
    for seconds in (0, 30, 31):
        clock.advance(seconds)
        people.signers.find_user(made.secret)
        [token] = await people.perform(ListTokens())
        moments.append(clock.time() - token.last_used)
    assert moments == [0, 30, 0]
    [stored] = await (await open_people()).perform(ListTokens())
    assert stored.last_used == clock.time()


async def test_keys_of_the_owner_are_the_owners(people, alice):
    class Owner:
        def find_secret(self, access_key):
            return "secret" if access_key == "OWNER" else None

    pair = await people.perform(CreateKeyPair("alice"))
    signers = AllSigners(Owner(), people.signers)
    assert (signers.find_secret("OWNER"), signers.is_owner("OWNER")) == ("secret", True)
    assert signers.find_user("OWNER") is None
    assert signers.find_secret(pair.access_key) == pair.secret
    assert not signers.is_owner(pair.access_key)
    assert signers.find_user(pair.access_key).login == "alice"
    assert signers.find_secret("none") is None


async def test_a_bearer_brings_the_token_itself(people, alice, clock):
    made = await people.perform(CreateToken("alice", scopes=(SCOPE,), seconds=60))
    found = people.signers.find_bearer(made.secret)
    assert (found.user, found.token.id, found.token.login) == (alice, made.token.id, "alice")
    assert found.token.scopes == (SCOPE,)
    assert (await people.perform(ListTokens("alice")))[0].last_used == clock.time()
    for text in ("", " ", "cmt_", made.secret[:-1], made.secret + "x", made.secret.upper(), f" {made.secret}"):
        assert people.signers.find_bearer(text) is None, text
    clock.advance(60)
    assert people.signers.find_bearer(made.secret) is None


async def test_an_access_key_alone_is_no_bearer(people, alice):
    pair = await people.perform(CreateKeyPair("alice"))
    assert people.signers.find_user(pair.access_key) is not None
    assert people.signers.find_bearer(pair.access_key) is None


async def test_who_is_locked_out_or_revoked_bears_nothing(people, alice):
    kept, gone = [await people.perform(CreateToken("alice")) for _ in range(2)]
    await people.perform(RevokeToken("alice", gone.token.id))
    assert people.signers.find_bearer(gone.secret) is None
    await people.perform(LockUser("alice"))
    assert people.signers.find_bearer(kept.secret) is None
    await people.perform(UnlockUser("alice"))
    assert people.signers.find_bearer(kept.secret) is not None
    await people.perform(DeleteUser("alice"))
    assert people.signers.find_bearer(kept.secret) is None
