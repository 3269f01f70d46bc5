"""Sessions that the version before stored go on, and what was known about their refresh tokens is not forgotten."""

import pytest
from msgspec import structs

from cellsmono.idm.auth import digest_of
from cellsmono.idm.database import APPLICATION_ID, FILE_NAME
from cellsmono.interfaces.people import ListSessions, RefreshSession
from cellsmono.kernel.errors import Forbidden
from cellsmono.store.database import Database
from cellsmono.store.migrations import load_migrations

ACCESS, PRESENT, USED = (f"{kind}_0123456789_" + "x" * 43 for kind in ("cmt", "cmr", "cmr"))
USED = USED.replace("x", "y")


@pytest.fixture
async def people(open_people, tmp_path, clock):
    whole = load_migrations("cellsmono.idm", APPLICATION_ID)
    earlier = await Database.open(tmp_path / FILE_NAME, structs.replace(whole, steps=whole.steps[:5]), name="idm")
    now = clock.time()

    def insert(tx):
        tx.execute(
            "INSERT INTO user_node VALUES ('U', 'ROOT_GROUP', 0, 'carol', 'carol', 'standard', '{}', '[]', '', 1, 0)"
        )
        tx.execute(
            "INSERT INTO auth_token VALUES ('0123456789', 'U', ?, 'a browser', '[]', ?, ?, 0, 'session')",
            (digest_of(ACCESS), now, now + 60),
        )
        tx.execute(
            "INSERT INTO auth_session VALUES ('0123456789', ?, ?, ?)",
            (digest_of(PRESENT), digest_of(USED), now + 120),
        )

    await earlier.write(insert)
    await earlier.close()
    return await open_people()


async def test_it_goes_on(people, clock):
    assert people.signers.find_bearer(ACCESS).user.login == "carol"
    [shown] = await people.perform(ListSessions("carol"))
    assert (shown.client, shown.agent, shown.expires) == ("cells-frontend", "a browser", clock.time() + 120)
    again = await people.perform(RefreshSession(PRESENT))
    assert people.signers.find_bearer(again.access) is not None


async def test_a_refresh_token_that_was_used_before_ends_it(people):
    with pytest.raises(Forbidden):
        await people.perform(RefreshSession(USED))
    assert people.signers.find_bearer(ACCESS) is None
