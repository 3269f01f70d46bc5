"""Quotas hold on every way in, against everybody who writes at the same time."""

import asyncio

import pytest

from cellsmono.interfaces.datasource import WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.people import CreateWorkspace, ListQuotas, SetAcl, SetQuota
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.errors import NotFound, PreconditionFailed, QuotaExceeded


async def chunks(*pieces):
    for piece in pieces:
        yield piece


@pytest.fixture(params=["flat", "plain"])
def where(request):
    """The folder of the workspace ``own``, of either format."""
    return f"{request.param}/"


@pytest.fixture
async def town(town):
    await town.perform(SetQuota("own", "group:/", 1000))
    return town


async def used(town, who="alice"):
    return {each.path: each.used for each in await town.perform(ListQuotas("own", who))}


def outcomes(results):
    return sorted("ok" if not isinstance(each, Exception) else type(each).__name__ for each in results)


async def test_what_fits_is_written_and_what_does_not_is_refused(town, where):
    await town.put("alice", "own", where + "a", b"x" * 600)
    with pytest.raises(QuotaExceeded) as caught:
        await town.put("alice", "own", where + "b", b"x" * 401)
    assert (caught.value.reason, caught.value.path) == ("quota", where + "b")
    assert "401 bytes more" in caught.value.message
    with pytest.raises(NotFound):
        await town.stat("alice", "own", where + "b")
    await town.put("alice", "own", where + "b", b"x" * 400)
    await town.put("alice", "own", where + "empty", b"")
    await town.folder("alice", "own", where + "folder/")
    await town.put("bob", "own", where + "a", b"x" * 1000)
    await town.delete("alice", "own", where + "b")
    await town.put("alice", "own", where + "c", b"x" * 400)


async def test_the_body_is_not_asked_for_when_it_does_not_fit(town, where):
    async def body():
        raise AssertionError("nobody may read it")
        yield b""

    with pytest.raises(QuotaExceeded):
        await town.router.put_node(
            town.actors["alice"], "own", where + "a", body(), PlainDigest(), WriteOptions(size=1001)
        )


async def test_a_body_of_unknown_length_is_cut_off(town, where):
    sent = []

    async def body():
        for _ in range(100):
            sent.append(1)
            yield b"x" * 100

    with pytest.raises(QuotaExceeded):
        await town.router.put_node(town.actors["alice"], "own", where + "a", body(), PlainDigest(), WriteOptions())
    assert len(sent) == 11
    await town.put("alice", "own", where + "a", b"x" * 1000, size=None)


async def test_replacing_needs_room_for_the_difference_alone(town, where):
    await town.put("alice", "own", where + "a", b"x" * 900)
    await town.put("alice", "own", where + "a", b"y" * 1000)
    with pytest.raises(QuotaExceeded):
        await town.put("alice", "own", where + "a", b"x" * 1001)
    assert await town.read("alice", "own", where + "a") == b"y" * 1000


async def test_less_is_always_possible(town, where):
    await town.put("alice", "own", where + "a", b"x" * 900)
    await town.perform(SetQuota("own", "group:/", 100))
    await town.put("alice", "own", where + "a", b"x" * 500)
    await town.put("alice", "own", where + "empty", b"")
    with pytest.raises(QuotaExceeded):
        await town.put("alice", "own", where + "b", b"x")


async def test_writers_at_the_same_time_share_what_is_left(town, where):
    puts = (town.put("alice", "own", f"{where}{number}", b"x" * 300, size=None if number % 2 else 300)
            for number in range(8))  # fmt: skip
    done = outcomes(await asyncio.gather(*puts, return_exceptions=True))
    assert done == ["QuotaExceeded"] * 5 + ["ok"] * 3
    assert sum((await used(town)).values()) == 900
    await town.put("alice", "own", where + "rest", b"x" * 100)  # nothing is held any more


async def test_what_fails_gives_its_room_back(town, where):
    async def broken():
        yield b"x" * 500
        raise PreconditionFailed("the client went away")

    for size in (500, 1000, None):
        with pytest.raises(PreconditionFailed):
            await town.router.put_node(
                town.actors["alice"], "own", where + "a", broken(), PlainDigest(), WriteOptions(size=size)
            )
    await town.put("alice", "own", where + "a", b"x" * 1000)


async def test_copies_count(town, where):
    await town.put("alice", "own", where + "a", b"x" * 500)
    await town.copy("alice", "own", where + "a", where + "b")
    with pytest.raises(QuotaExceeded):
        await town.copy("alice", "own", where + "a", where + "c")
    await town.copy("alice", "own", where + "a", where + "b")
    await town.copy("alice", "own", where + "a", "c", to="the-blobs")


async def test_moves_count_where_they_come_in(town):
    await town.perform(CreateWorkspace("mixed", (("flat", "TEMPLATE:own-blobs"), ("all", "blobs"))))
    await town.perform(SetAcl("TEMPLATE:own-blobs", "group:/", {"read": "1", "write": "1"}, "mixed"))
    await town.perform(SetAcl("blobs", "group:/", {"read": "1", "write": "1"}, "mixed"))
    await town.perform(SetAcl("TEMPLATE:own-blobs", "group:/", {"quota": "1000"}, "mixed"))
    for name in "ab":
        await town.put("alice", "mixed", f"all/in/{name}", b"x" * 501)
    with pytest.raises(QuotaExceeded):
        await town.move("alice", "mixed", "all/in/", "flat/in/")
    await town.move("alice", "mixed", "all/in/a", "flat/a")
    with pytest.raises(QuotaExceeded):
        await town.move("alice", "mixed", "all/in/b", "flat/b")
    await town.move("alice", "mixed", "all/in/b", "flat/a")
    await town.move("alice", "mixed", "flat/a", "flat/c")
    await town.move("alice", "mixed", "flat/c", "all/c")


async def test_uploads_in_parts_count_while_they_come_in(town, where):
    alice = town.actors["alice"]

    async def begin(path):
        return (await town.router.create_upload(alice, "own", path, b"")).upload_id

    async def put_part(upload, number, size, announced=True):
        body = chunks(b"x" * size)
        return await town.router.put_part(
            alice, "own", upload, number, body, PlainDigest(), size if announced else None
        )

    first, second = await begin(where + "a"), await begin(where + "b")
    parts = [await put_part(first, 1, 400), await put_part(first, 2, 200, announced=False)]
    with pytest.raises(QuotaExceeded):
        await put_part(second, 1, 401)
    await put_part(second, 1, 100)
    other = [await put_part(second, 1, 300)]  # in the place of the first one, which goes once this one is there
    other.append(await put_part(second, 2, 100))
    with pytest.raises(QuotaExceeded):
        await town.put("alice", "own", where + "c", b"x")
    await town.router.complete_upload(alice, "own", first, parts, "e-2", WriteOptions())
    with pytest.raises(QuotaExceeded):
        await put_part(second, 3, 1)
    await town.router.complete_upload(alice, "own", second, other, "e-1", WriteOptions())
    with pytest.raises(QuotaExceeded):
        await begin(where + "d")
    await town.delete("alice", "own", where + "a")
    third = await begin(where + "d")
    await put_part(third, 1, 600)
    await town.router.abort_upload(alice, "own", third)
    fourth = await begin(where + "d")
    await put_part(fourth, 1, 600)
    # Behind the back of this router, as lifecycle rules do.
    below = town.core.datasources.find("blobs" if where == "flat/" else "plain")
    await below.abort_upload(fourth)
    fifth = await begin(where + "d")
    parts = [await put_part(fifth, 1, 600)]
    await town.perform(SetQuota("own", "group:/", 900))
    with pytest.raises(QuotaExceeded):
        await town.router.complete_upload(alice, "own", fifth, [*parts, *parts], "e-1", WriteOptions())


async def test_old_versions_do_not_count(town):
    await town.core.datasources.find("blobs").set_versioning(Versioning.ENABLED)
    for _ in range(3):
        await town.put("alice", "own", "flat/a", b"x" * 900)
    assert (await used(town))["blobs/of/alice/"] == 900


async def test_the_owner_is_not_bound_but_counts(town):
    await town.put("owner", "blobs", "of/alice/big", b"x" * 5000)
    assert (await used(town))["blobs/of/alice/"] == 5000
    with pytest.raises(QuotaExceeded):
        await town.put("alice", "own", "flat/a", b"x")
