import sqlite3

import pytest

from cellsmono.idm.database import FILE_NAME
from cellsmono.interfaces.people import (
    CreateKeyPair,
    CreateToken,
    CreateUser,
    DeleteUser,
    ListKeyPairs,
    ListTokens,
    RevokeKeyPair,
    RevokeToken,
)
from cellsmono.interfaces.permissions import Right
from cellsmono.interfaces.tokens import NodeScope, parse_scope
from cellsmono.kernel.errors import Invalid, NotFound

UUID = "01a22edc-372d-7820-b142-ef3998170b8b"


@pytest.fixture
async def people(open_people):
    people = await open_people()
    await people.perform(CreateUser("alice"))
    await people.perform(CreateUser("bob"))
    return people


async def test_a_token_is_told_once_and_stored_as_a_hash(people, open_people, clock, tmp_path):
    made = await people.perform(CreateToken("Alice", "laptop", (f"node:{UUID}:rw",), 3600))
    prefix, token_id, secret = made.secret.split("_")
    assert (prefix, token_id, len(secret)) == ("cmt", made.token.id, 43)
    assert made.secret.replace("_", "").isalnum()
    assert made.token.expires == clock.time() + 3600
    assert secret not in repr(made)
    for path in tmp_path.glob(FILE_NAME + "*"):
        assert secret.encode() not in path.read_bytes()
    again = await open_people()
    assert await again.perform(ListTokens("alice")) == [made.token]
    assert await again.perform(ListTokens()) == [made.token]
    assert await again.perform(ListTokens("bob")) == []


async def test_tokens_are_never_the_same(people):
    made = [(await people.perform(CreateToken("alice"))).secret for _ in range(50)]
    assert len({secret.rpartition("_")[2] for secret in made}) == 50


async def test_a_token_is_revoked_by_whose_it_is(people, open_people):
    token = (await people.perform(CreateToken("alice"))).token
    for login, token_id in (("bob", token.id), ("alice", "nothing")):
        with pytest.raises(NotFound, match=f"`cellsmono user token list {login}`"):
            await people.perform(RevokeToken(login, token_id))
    await people.perform(RevokeToken("alice", token.id))
    assert await (await open_people()).perform(ListTokens()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "x" * 201},
        {"seconds": -1.0},
        {"seconds": 1e12},
        {"seconds": float("nan")},
        {"scopes": (f"node:{UUID}:rw",) * 101},
        *({"scopes": (scope,)} for scope in ("", "node", f"node:{UUID}", f"node:{UUID}:x", f"node:{UUID.upper()}:r")),
        *({"scopes": (scope,)} for scope in (f"node:{UUID}:rw\n", f"file:{UUID}:r", "node:../x:r", f"node:{UUID}:wr")),
    ],
)
async def test_bad_tokens(people, changes):
    with pytest.raises(Invalid):
        await people.perform(CreateToken("alice", **changes))
    assert await people.perform(ListTokens()) == []


def test_scopes():
    assert parse_scope(f"node:{UUID}:r") == NodeScope(UUID, Right.READ)
    assert parse_scope(f"node:{UUID}:rw") == NodeScope(UUID, Right.READ | Right.WRITE)


async def test_key_pairs_are_told_once_listed_and_revoked(people, open_people):
    pair = await people.perform(CreateKeyPair("alice", "laptop"))
    assert (len(pair.access_key), len(pair.secret), pair.login) == (20, 40, "alice")
    assert pair.secret not in repr(pair)
    people = await open_people()
    [listed] = await people.perform(ListKeyPairs())
    assert (listed.access_key, listed.secret, listed.description) == (pair.access_key, "", "laptop")
    with pytest.raises(NotFound):
        await people.perform(RevokeKeyPair("bob", pair.access_key))
    await people.perform(RevokeKeyPair("alice", pair.access_key))
    assert await (await open_people()).perform(ListKeyPairs("alice")) == []
    with pytest.raises(Invalid):
        await people.perform(CreateKeyPair("alice", "x" * 201))


async def test_what_belongs_to_a_user_goes_with_it(people, tmp_path):
    for login in ("alice", "bob"):
        await people.perform(CreateToken(login))
        await people.perform(CreateKeyPair(login))
    await people.perform(DeleteUser("alice"))
    assert [token.login for token in await people.perform(ListTokens())] == ["bob"]
    assert [pair.login for pair in await people.perform(ListKeyPairs())] == ["bob"]
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        for table in ("auth_token", "auth_key"):
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,)
    connection.close()
