"""Encrypted files, written plainly without a server: with exported keys, with the data folder, and not without."""

import os
import shutil
import subprocess
import sys

import pytest

from cellsmono.app.export import export_datasource
from cellsmono.data.keys.export import export_keys
from cellsmono.data.keys.vault import BundleVault, Vault
from cellsmono.interfaces.datasource import DatasourceConfig
from cellsmono.kernel.clock import SystemClock
from cellsmono.kernel.errors import Unavailable

FILES = {"a/one": b"one", "a//two": b"two" * 50_000, "empty": b""}
PASSWORD = "correct horse"


def ignore(progress):
    """Nobody looks."""


@pytest.fixture
async def site(site):
    """An encrypted datasource with a snapshot and an export of its keys; its server is gone."""
    site.settings = {"format": "flat", "encryption": "aes256"}
    async with site.open() as core:
        for key, data in FILES.items():
            await site.put(core, key, data)
        await core.installation.dump_snapshot("docs", "snapshot.db")
        site.vault = Vault(site.data, SystemClock())
    site.keys = site.root / "keys.json"
    site.keys.write_bytes(export_keys(site.vault.export(), PASSWORD))
    return site


def place_of(site):
    return DatasourceConfig(name="docs", folder=str(site.folder))


def list_files(folder):
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("kind", ["bundle", "data folder", "record gone"])
async def test_files_are_decrypted_and_the_store_stays_as_it_is(site, kind):
    vault = BundleVault(site.vault.export(), "keys") if kind != "data folder" else site.vault
    if kind == "record gone":
        (site.folder / "cellsmono-keys.json").unlink()
    before = list_files(site.folder)
    report = await export_datasource(place_of(site), "", site.root / "out", ignore, vault)
    assert (report.files, report.missing_total, report.differing_total) == (3, 0, 0)
    found = [path.read_bytes() for path in (site.root / "out").rglob("*") if path.is_file()]
    assert sorted(found) == sorted(FILES.values())
    assert list_files(site.folder) == before


async def test_without_keys_it_says_which_option_takes_them(site):
    with pytest.raises(Unavailable, match="--keys"):
        await export_datasource(place_of(site), "", site.root / "out", ignore)
    other = Vault(site.root, SystemClock())
    other.make_key("another store")
    with pytest.raises(Unavailable, match="another installation"):
        await export_datasource(place_of(site), "", site.root / "out", ignore, BundleVault(other.export(), "keys"))


async def test_content_that_was_altered_is_named_and_the_rest_is_written(site):
    for number, path in enumerate(sorted(site.folder.rglob("*.sealed"))[:2]):
        raw = bytearray(path.read_bytes())
        raw[-1 if number else 70] ^= 1
        path.write_bytes(raw)
    report = await export_datasource(place_of(site), "", site.root / "out", ignore, site.vault)
    assert report.missing_total + report.differing_total == 2


def run(site, *arguments, password=PASSWORD):
    environment = {**os.environ, "HOME": str(site.root), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "cellsmono", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, input=password + "\n")


def test_the_command_line_takes_an_export_and_its_password(site):
    shutil.rmtree(site.data)
    common = ["ds", "export", "--blobs", str(site.folder), "--keys", str(site.keys)]
    wrong = run(site, *common, str(site.root / "out"), password="wrong horse")
    assert wrong.returncode == 4
    assert "password" in wrong.stderr
    done = run(site, *common, str(site.root / "out"))
    assert done.returncode == 0, done.stderr
    assert sorted(path.read_bytes() for path in (site.root / "out").rglob("*") if path.is_file()) == sorted(
        FILES.values()
    )
    (site.root / "password").write_text(PASSWORD + "\n")
    given = ["--password-file", str(site.root / "password")]
    done = run(site, *common, *given, str(site.root / "more"), password="")
    assert done.returncode == 0, done.stderr
    done = run(site, "encryption", "import", str(site.keys), *given, "--data-dir", str(site.root / "fresh"))
    assert done.returncode == 0, done.stderr
    assert "new: 1 master key, 1 data key" in done.stderr
    again = ["encryption", "export", str(site.root / "again.json"), *given, "--data-dir", str(site.root / "fresh")]
    assert run(site, *again).returncode == 0
    assert (site.root / "again.json").stat().st_mode & 0o777 == 0o600
    listed = run(site, "encryption", "list", "--data-dir", str(site.root / "fresh"))
    assert "not served now" in listed.stdout
    for file, hint in ((site.root / "nowhere", "can not be read"), (site.folder / "cellsmono-keys.json", "no export")):
        refused = run(site, "encryption", "import", str(file), *given, "--data-dir", str(site.root / "fresh"))
        assert refused.returncode in (1, 2)
        assert hint in refused.stderr
