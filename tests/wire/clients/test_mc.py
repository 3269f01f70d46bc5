"""mc, MinIO's client: mirror both ways, and its own comparison."""

from functools import partial

import pytest

pytestmark = pytest.mark.client("mc")


@pytest.fixture
def mc(bench, client_path):
    if "midnight" in bench.run(client_path("mc"), "--version", is_checked=False).stdout.lower():
        pytest.skip("mc is another program here")
    server = bench.server
    address = f"http://{server.access_key}:{server.secret_key}@{server.host}"
    return partial(bench.run, client_path("mc"), "--quiet", env={"MC_HOST_cells": address})


def test_mirror_there_and_back(mc, bench, request, photos, tmp_path, files_of):
    (photos / "back\\slash.txt").unlink()  # mc takes a backslash for a separator
    remote, folder = f"cells/{bench.bucket}/{request.node.name}", bench.folder / request.node.name
    mc("mirror", photos, remote)
    assert files_of(folder) == files_of(photos)
    assert mc("diff", photos, remote).stdout.strip() == ""
    mc("mirror", remote, tmp_path / "back")
    assert files_of(tmp_path / "back") == files_of(photos)
    mc("rm", "--recursive", "--force", f"{remote}/")
    assert files_of(folder) == {}


def test_stat_and_attributes(mc, bench, request):
    remote, folder = f"cells/{bench.bucket}/{request.node.name}", bench.folder / request.node.name
    folder.mkdir()
    (folder / "five").write_bytes(b"12345")
    mc("cp", "--attr", "colour=blue", folder / "five", f"{remote}/put")
    assert "blue" in mc("stat", f"{remote}/put").stdout
    assert mc("cat", f"{remote}/put").stdout == "12345"
