"""An S3 server that fails on either side, for a moment or for long: a clear error, nothing lost, and it goes on."""

import pytest

from cellsmono.interfaces.datasource import Format
from cellsmono.interfaces.migration import MigrationAction, MigrationPhase
from cellsmono.kernel.errors import Unavailable

FLAT, STRUCTURED = Format.FLAT, Format.STRUCTURED
NOW_AND_THEN = [None, (503, "SlowDown"), None, None, "reset", None, (500, "InternalError"), "lost", None, 10, None]

REVOKED = (403, "InvalidAccessKeyId")
BUSY = (503, "SlowDown")


@pytest.fixture(params=["from a bucket", "to a bucket"])
def direction(request):
    return request.param


@pytest.fixture
def remote(far_bucket, proxy):
    """What a datasource says to be in a bucket behind the proxy."""
    return far_bucket | {"endpoint": proxy.url}


@pytest.fixture
def begin(make_site, remote, direction):
    """Makes a site, and what to ask a migration of it for: one of its places is behind the proxy."""

    def make(source, target):
        if direction == "from a bucket":
            site = make_site(source, **remote, prefix="base")
            return site, {"format_": target, "target": site.target}
        site = make_site(source)
        site.far = True
        values = {name: value for name, value in remote.items() if name != "bucket"}
        return site, {"format_": target, "target": f"s3://{remote['bucket']}/base", **values}

    return make


async def seed(app):
    await app.seed()
    if app.store.config.format is FLAT:
        await app.store.blobs.settle()  # what was replaced is gone, so that nothing is left of it
    return await app.tree()


@pytest.mark.parametrize(("source", "target"), [(STRUCTURED, FLAT), (FLAT, STRUCTURED), (FLAT, FLAT)])
async def test_a_server_that_stumbles_is_asked_again(begin, proxy, source, target):
    site, wanted = begin(source, target)
    async with site.open() as app:
        before = await seed(app)
        proxy.plan.extend(NOW_AND_THEN * 30)
        report = await app.migrate(**wanted)
        assert (report.phase, report.problems) == (MigrationPhase.SWITCHED, ())
        proxy.mend()
        assert await app.tree() == before
        proxy.plan.extend(NOW_AND_THEN * 30)
        finished = await app.migrate(MigrationAction.FINISH)
        assert (finished.removed, finished.left) == (9, ())
        proxy.mend()
        assert await app.tree() == before
        await app.check_well()


@pytest.mark.parametrize(("fault", "text"), [(REVOKED, "access key"), (BUSY, "SlowDown"), ("reset", "")])
@pytest.mark.parametrize("after", [0, 4, 13])
async def test_what_a_server_breaks_off_goes_on_later(begin, proxy, fault, text, after):
    site, wanted = begin(FLAT, FLAT)
    async with site.open() as app:
        before = await seed(app)
        proxy.plan.extend([None] * after)
        proxy.always = fault
        with pytest.raises(Unavailable) as caught:
            await app.migrate(**wanted)
        assert text in caught.value.message
        proxy.mend()
    async with site.open() as app:
        assert app.store.config.place == site.config.place
        assert await app.tree() == before
        await app.check_well()
        state = app.core.datasources.migration("docs").read()
        report = await app.migrate(**({} if state else wanted))
        assert (report.phase, report.problems) == (MigrationPhase.SWITCHED, ())
        assert await app.tree() == before
        assert (await app.migrate(MigrationAction.FINISH)).left == ()
        await app.check_well()
