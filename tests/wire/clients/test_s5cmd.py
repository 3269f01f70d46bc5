"""s5cmd: copies many objects in parallel, and syncs."""

from functools import partial

import pytest

pytestmark = pytest.mark.client("s5cmd")


@pytest.fixture
def s5cmd(bench, client_path):
    return partial(bench.run, client_path("s5cmd"), "--endpoint-url", bench.server.url)


def test_tree_there_and_back(s5cmd, bench, request, photos, tmp_path, files_of):
    remote, folder = f"s3://{bench.bucket}/{request.node.name}", bench.folder / request.node.name
    s5cmd("cp", f"{photos}/", f"{remote}/")
    assert files_of(folder) == files_of(photos)
    s5cmd("cp", f"{remote}/*", f"{tmp_path}/back/")
    assert files_of(tmp_path / "back") == files_of(photos)
    s5cmd("rm", f"{remote}/*")
    assert files_of(folder) == {}


def test_sync_follows_changes(s5cmd, bench, request, photos, files_of):
    remote, folder = f"s3://{bench.bucket}/{request.node.name}", bench.folder / request.node.name
    for path in photos.rglob("*\u200d*"):
        path.unlink()  # s5cmd's own limit: it plans a sync as lines of text, and does not read this sign back from them
    s5cmd("sync", f"{photos}/", f"{remote}/")
    (photos / "100%.txt").unlink()
    (photos / "one byte").write_bytes(b"more bytes")
    s5cmd("sync", "--delete", f"{photos}/", f"{remote}/")
    assert files_of(folder) == files_of(photos)
