"""The files of a flat datasource, written plainly from a snapshot and the blobs alone."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

from cellsmono.app.export import export_datasource
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.errors import Conflict, Corrupt, Invalid, NotFound

KEYS = {
    "plain.txt": b"plain",
    "a/b/deep": b"deep",
    "both": b"a file beside a folder of its name",
    "both/inside": b"inside",
    "a//b": b"an empty part",
    "./x": b"dot",
    "up/../x": b"dots",
    "/leading": b"leading",
    "n" * 300: b"long",
    "é" * 200 + "/x": b"long in bytes",
    ".pydio": b"not a marker",
    ".cellsmono/x": b"not a work folder",
    "empty": b"",
}


def place_of(folder):
    return DatasourceConfig(name="docs", folder=str(folder))


def ignore(progress):
    """Nobody looks."""


@pytest.fixture
async def site(site):
    """A flat datasource with a snapshot, whose server and data folder are gone."""
    site.settings = {"format": "flat"}
    async with site.open() as core:
        for key, data in KEYS.items():
            await site.put(core, key, data, user={"of": "me"})
        await core.datasources.triple("docs").store.create_folder("just a folder/")
        await core.installation.dump_snapshot("docs", "snapshot.db")
    shutil.rmtree(site.data)
    return site


def read_files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_every_file_is_written_whatever_its_key(site):
    report = await export_datasource(place_of(site.folder), "", site.root / "out", ignore)
    found = read_files(site.root / "out")
    assert sorted(found.values()) == sorted(KEYS.values())
    assert found["plain.txt"] == b"plain"
    assert found["a/b/deep"] == b"deep"
    assert found["both/inside"] == b"inside", "the folder keeps its name"
    assert (report.files, report.missing_total, report.differing_total) == (len(KEYS), 0, 0)
    assert (site.root / "out" / "just a folder").is_dir()
    plain = {key for key in KEYS if found.get(key) == KEYS[key]}
    renamed = dict(report.renamed)
    assert plain == {"plain.txt", "a/b/deep", "both/inside", "empty"}
    for key in set(KEYS) - plain:
        above = [key[: at + 1] for at, sign in enumerate(key) if sign == "/"]
        assert key in renamed or any(folder in renamed for folder in above)
    assert found[renamed["both"]] == KEYS["both"]
    assert all(len(part.encode()) <= 255 for path in found for part in path.split("/"))
    assert not list((site.root / "out").glob("*.db*"))


async def test_times_and_metadata_come_along_so_that_it_can_be_served(site):
    await export_datasource(place_of(site.folder), "snapshot.db", site.root / "out", ignore)
    site.data.mkdir()
    site.folder = site.root / "out"
    site.settings = {}
    async with site.open() as core:
        await core.installation.resync("docs")
        node = await core.datasources.triple("docs").index.read_node("a/b/deep")
        assert node.meta.user == {"of": "me"}
    async with site.open(configured=False) as core:
        with pytest.raises(Invalid):
            await export_datasource(place_of(site.folder), "", site.root / "more", ignore)
        await core.installation.add_datasource(DatasourceConfig(name="docs", folder=str(site.folder)))


async def test_a_snapshot_file_and_blobs_are_enough(site):
    shutil.copytree(site.folder, site.root / "elsewhere" / "blobs")
    snapshot = site.root / "kept.db"
    shutil.copy(site.snapshots / "snapshot.db", snapshot)
    shutil.rmtree(site.root / "trees")
    before = read_files(site.root / "elsewhere")
    await export_datasource(place_of(site.root / "elsewhere" / "blobs"), str(snapshot), site.root / "out", ignore)
    assert sorted(read_files(site.root / "out").values()) == sorted(KEYS.values())
    assert read_files(site.root / "elsewhere") == before
    assert sorted(os.listdir(site.root / "elsewhere")) == ["blobs"], "nothing is made beside them"


async def test_missing_and_altered_blobs_are_named_and_the_rest_is_written(site):
    by_content = {path.read_bytes(): path for path in site.folder.rglob("*") if path.is_file()}
    by_content[b"plain"].unlink()
    by_content[b"deep"].write_bytes(b"DEEP")
    by_content[b"inside"].write_bytes(b"ins")
    report = await export_datasource(place_of(site.folder), "", site.root / "out", ignore)
    assert report.missing == ("plain.txt",)
    assert report.differing == ("a/b/deep", "both/inside")
    found = read_files(site.root / "out")
    assert len(found) == len(KEYS) - 1
    assert found["a/b/deep"] == b"DEEP"


async def test_the_newest_that_is_whole_is_taken(site):
    (site.snapshots / "zz.db").write_bytes(b"rubbish")
    assert (await export_datasource(place_of(site.folder), "", site.root / "out", ignore)).files == len(KEYS)
    with pytest.raises(Corrupt):
        await export_datasource(place_of(site.folder), "zz.db", site.root / "more", ignore)
    assert not any((site.root / "more").iterdir())


async def test_what_can_not_be_is_told(site):
    (site.root / "full").mkdir()
    (site.root / "full" / "mine").touch()
    with pytest.raises(Conflict, match="new folder"):
        await export_datasource(place_of(site.folder), "", site.root / "full", ignore)
    with pytest.raises(Conflict):
        await export_datasource(place_of(site.folder), "", site.root / "full" / "mine", ignore)
    assert read_files(site.root / "full") == {"mine": b""}
    before = read_files(site.folder)
    (site.root / "way").symlink_to(site.folder)
    for inside in (site.folder / "out", site.root / "way" / "out"):
        with pytest.raises(Invalid, match="where the blobs are"):
            await export_datasource(place_of(site.folder), "", inside, ignore)
    assert read_files(site.folder) == before
    with pytest.raises(NotFound):
        await export_datasource(place_of(site.folder), "none.db", site.root / "out", ignore)
    shutil.rmtree(site.snapshots)
    with pytest.raises(NotFound, match="--snapshot"):
        await export_datasource(place_of(site.folder), "", site.root / "more", ignore)


async def test_the_command_says_what_it_did(site):
    def run(*arguments):
        command = [sys.executable, "-m", "cellsmono", "ds", "export", *map(str, arguments)]
        environment = {**os.environ, "HOME": str(site.root), "CELLSMONO_DATA_DIR": str(site.data)}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    blobs = ("--blobs", site.folder)
    files = ("--snapshot", site.snapshots / "snapshot.db", *blobs)
    done = run(*files, site.root / "out", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"] == len(KEYS)
    assert run(*files, site.root / "out").returncode == 4
    assert run(*files, "docs", site.root / "more").returncode == 2
    assert run(*files, "--basename", "snapshot.db", site.root / "more").returncode == 2
    assert run(*blobs, site.root / "newest").returncode == 0, "a snapshot that lies with the blobs is found"
    assert run("--blobs", site.root / "nowhere", site.root / "x").returncode == 1
    assert "--blobs" in run("unknown", site.root / "x").stderr
    assert run(site.root / "more").returncode == 2
    next(path for path in site.folder.rglob("*") if path.is_file() and path.read_bytes() == b"plain").unlink()
    done = run("docs", site.root / "more", "--config", site.config)
    assert (done.returncode, "missing: plain.txt" in done.stderr) == (5, True), done.stderr


async def make_versions(site):
    """A flat datasource with old versions, also of keys that show nothing and below folders that are gone."""
    shutil.rmtree(site.folder)
    site.folder.mkdir()
    site.data.mkdir(exist_ok=True)
    ids = {}
    async with site.open() as core:
        store = core.datasources.triple("docs").store
        await site.put(core, "a/x.txt", b"null")
        await store.set_versioning(Versioning.ENABLED)
        for key in ("a/x.txt", "gone/deep/y", "n" * 250, "both"):
            for number in range(2):
                await site.put(core, key, b"%s %d" % (key[:4].encode(), number), user={"n": str(number)})
        await store.delete_node("gone/deep/y")
        await store.delete_node("both")
        await site.put(core, "both/inside", b"now a folder")
        await store.delete_node("both/inside")
        await site.put(core, "both", b"a file again")
        for version in (await store.index.list_versions(limit=1000)).entries:
            if version.node is not None and not version.is_latest:
                moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(version.mtime_ns // 10**9))
                ids[f"{version.key}~{moment}~{version.id or 'null'}"] = version
        await core.installation.dump_snapshot("docs", "versions.db")
    shutil.rmtree(site.data)
    return ids


async def test_versions_are_written_beside_what_their_keys_show(site):
    ids = await make_versions(site)
    report = await export_datasource(place_of(site.folder), "versions.db", site.root / "out", ignore, versions=True)
    found = read_files(site.root / "out")
    assert (report.files, report.versions, report.versions_left) == (3, len(ids), 0)
    assert (report.missing_total, report.differing_total) == (0, 0)
    assert len(found) == 3 + len(ids)
    assert found["a/x.txt"] == b"a/x. 1"
    for name, version in ids.items():
        (written,) = [each for each in found if each.endswith(f"~{version.id or 'null'}")]
        assert len(found[written]) == version.size
        if version.key == "both/inside":  # its folder has another name: a file has that now
            assert written.startswith("both~")
        elif version.key.startswith("n"):
            assert written.startswith("nnn")
            assert len(written) == 255
        else:
            assert written == name
    (null,) = [name for name in found if name.endswith("~null")]
    assert found[null] == b"null"
    assert {found[name] for name in found if name.startswith("gone/deep/y~")} == {b"gone 0", b"gone 1"}


async def test_versions_that_are_left_out_are_counted_and_missing_ones_named(site):
    ids = await make_versions(site)
    report = await export_datasource(place_of(site.folder), "versions.db", site.root / "out", ignore)
    assert (report.files, report.versions, report.versions_left) == (3, 0, len(ids))
    assert len(read_files(site.root / "out")) == 3
    lost = next(version for version in ids.values() if version.key == "a/x.txt" and version.id)
    for path in site.folder.rglob(f"{lost.node.uuid}.{lost.node.blob:x}"):
        path.unlink()
    report = await export_datasource(place_of(site.folder), "versions.db", site.root / "again", ignore, versions=True)
    assert report.missing == (f"a/x.txt (version {lost.id})",)
    assert report.versions == len(ids) - 1
