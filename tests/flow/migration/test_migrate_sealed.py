"""Encrypted content on the move: it is read as what it is, and written as the target is set, never carried over."""

import pytest
from msgspec.structs import replace

from cellsmono.datasource.sealing.store import SealedStore
from cellsmono.interfaces.datasource import Encryption, Format, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.migration import MigrationAction, MigrationPhase, Obstacle
from cellsmono.interfaces.node import is_sealed
from cellsmono.interfaces.sealing import SealWish
from cellsmono.kernel.errors import Invalid, Unavailable

FLAT, STRUCTURED = Format.FLAT, Format.STRUCTURED


def make_sealed(make_site):
    site = make_site(FLAT)
    site.config = replace(site.config, encryption=Encryption.AES256)
    return site


async def seals(app):
    """Whether each leaf is sealed."""
    page = await app.triple.index.list_keys(limit=1000)
    return {is_sealed(node.blob) for node in page.entries if not node.is_folder}


def sealed_files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.sealed")}


@pytest.mark.parametrize(
    ("source", "target", "encryption"),
    [
        ("sealed", FLAT, None),
        ("sealed", FLAT, "none"),
        ("sealed", STRUCTURED, "none"),
        ("plain", FLAT, "aes256"),
        ("structured", FLAT, "aes256"),
    ],
)
@pytest.mark.parametrize("move", [False, True])
async def test_everything_is_as_before_and_lies_as_the_target_is_set(make_site, source, target, encryption, move):
    site = make_sealed(make_site) if source == "sealed" else make_site(FLAT if source == "plain" else STRUCTURED)
    values = {} if encryption is None else {"encryption": encryption}
    will_seal = target is FLAT and encryption != "none"
    async with site.open() as app:
        await app.seed()
        before, old = await app.tree(), sealed_files(site.source)
        report = await app.migrate(format_=target, target=site.target, move=move, **values)
        assert (report.phase, report.problems_total) == (None if move else MigrationPhase.SWITCHED, 0)
        assert await app.tree() == before
        assert await seals(app) == {will_seal}
        assert app.store.config.encryption == (Encryption.AES256 if will_seal else Encryption.NONE)
        made = sealed_files(site.target)
        assert len(made) == (report.files if will_seal else 0)
        assert not set(made.values()) & set(old.values()), "no sealed bytes were carried over"
        await app.check_well()
    async with site.open() as app:
        assert await app.tree() == before
        if not move:
            finished = await app.migrate(MigrationAction.FINISH)
            assert finished.left == ()
        assert not site.source.exists()
        assert await app.tree() == before
        await app.check_well()
        await app.put("new", b"new")
        assert is_sealed((await app.store.read_node("new")).blob) is will_seal


async def test_making_plain_files_of_encrypted_content_must_be_meant(make_site):
    site = make_sealed(make_site)
    async with site.open() as app:
        await app.put("x", b"secret")
        with pytest.raises(Invalid, match="--encryption none"):
            await app.migrate(format_=STRUCTURED, target=site.target)
        with pytest.raises(Invalid, match="plain files"):
            await app.migrate(format_=STRUCTURED, target=site.target, encryption="aes256")
        with pytest.raises(Invalid, match="encryption"):
            await app.migrate(format_=FLAT, target=site.target, encryption="rot13")
        assert not site.target.exists()


async def test_content_that_was_altered_stops_it(make_site):
    site = make_sealed(make_site)
    async with site.open() as app:
        nodes = [await app.put(f"f{n}", b"content") for n in range(3)]
        for node, at in zip(nodes, (70, -1), strict=False):
            path = site.source / app.store.blobs.key_of(node)
            raw = bytearray(path.read_bytes())
            raw[at] ^= 1
            path.write_bytes(raw)
        report = await app.migrate(format_=FLAT, target=site.target)
        assert report.phase is not MigrationPhase.SWITCHED
        assert [(each.obstacle, each.path) for each in report.problems] == [
            (Obstacle.DIFFERS, "f0"),
            (Obstacle.DIFFERS, "f1"),
        ]


async def test_content_that_only_its_client_can_read_is_named_and_stays(make_site):
    site = make_sealed(make_site)
    async with site.open() as app:
        await app.put("plain", b"content")
        wish = WriteOptions(seal=SealWish(b"k" * 32))
        await app.store.put_node("secret", one(b"content"), PlainDigest(), wish)
        with pytest.raises(Invalid, match="its client"):
            await app.read("secret")
        report = await app.migrate(format_=FLAT, target=site.target)
        assert report.phase is not MigrationPhase.SWITCHED
        assert [(each.obstacle, each.path) for each in report.problems] == [(Obstacle.DIFFERS, "secret")]
        assert "its client" in report.problems[0].detail
        opened = await app.store.open_node("secret")
        await opened.reader.unlock(b"k" * 32)
        assert await opened.reader.read(0, 100) == b"content"
        opened.reader.close()


async def one(data):
    yield data


async def test_a_migration_that_was_cut_short_goes_on_with_the_same_names(make_site, monkeypatch):
    site = make_site(FLAT)
    async with site.open() as app:
        await app.seed()
        before, stage, staged = await app.tree(), SealedStore.stage, []

        async def stage_some(self, bucket, body, hashers=(), size=None, target=None):
            if target is not None and target.key.endswith(".sealed"):
                staged.append(target.key)
                if len(staged) > 5:
                    raise Unavailable("the disk went away")
            return await stage(self, bucket, body, hashers, size, target)

        monkeypatch.setattr(SealedStore, "stage", stage_some)
        with pytest.raises(Unavailable):
            await app.migrate(format_=FLAT, target=site.target, encryption="aes256")
        monkeypatch.undo()
        made = set(sealed_files(site.target))
        assert made
        report = await app.migrate()
        assert report.phase is MigrationPhase.SWITCHED
        assert made <= set(sealed_files(site.target))
        assert len(sealed_files(site.target)) == report.files
        assert await app.tree() == before


async def test_giving_up_removes_the_sealed_copies(make_site, monkeypatch):
    site = make_site(FLAT)
    async with site.open() as app:
        await app.seed()
        before, stage, staged = await app.tree(), SealedStore.stage, []

        async def stage_some(self, *args, **options):
            staged.append(1)
            if len(staged) > 6:
                raise Unavailable("the disk went away")
            return await stage(self, *args, **options)

        monkeypatch.setattr(SealedStore, "stage", stage_some)
        with pytest.raises(Unavailable):
            await app.migrate(format_=FLAT, target=site.target, encryption="aes256")
        monkeypatch.undo()
        aborted = await app.migrate(MigrationAction.ABORT)
        assert aborted.left == ()
        assert not site.target.exists()
        assert await app.tree() == before


@pytest.mark.parametrize("encryption", ["aes256", "none"])
async def test_into_a_bucket_and_inside_its_server(make_site, far_bucket, encryption):
    """A server copies nothing by itself where the bytes are to be others."""
    site = make_site(FLAT)
    site.far = True
    values = {name: value for name, value in far_bucket.items() if name != "bucket"}
    async with site.open() as app:
        await app.seed()
        before = await app.tree()
        place = f"s3://{far_bucket['bucket']}"
        report = await app.migrate(format_=FLAT, target=f"{place}/base", encryption="aes256", **values)
        assert (report.phase, report.problems) == (MigrationPhase.SWITCHED, ())
        assert (await app.tree(), await seals(app)) == (before, {True})
        assert (await app.migrate(MigrationAction.FINISH)).left == ()
        await app.check_well()
        report = await app.migrate(format_=FLAT, target=f"{place}/again", encryption=encryption)
        assert (report.phase, report.problems) == (MigrationPhase.SWITCHED, ())
        assert (await app.tree(), await seals(app)) == (before, {encryption == "aes256"})
        assert (await app.migrate(MigrationAction.FINISH)).left == ()
    async with site.open() as app:
        assert await app.tree() == before
        await app.check_well()
