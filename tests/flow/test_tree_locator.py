"""Identities of nodes across datasources of both formats."""

import shutil

import pytest

from cellsmono.data.tree.locator import TreeLocator
from cellsmono.interfaces.tree import ROOT_UUID, TreeNode
from cellsmono.kernel.errors import NotFound


@pytest.fixture
async def core(open_it, make_source):
    async with open_it(make_source("docs"), make_source("blobs", format="flat"), follow=False) as core:
        yield core


async def test_nodes_are_found_by_path_and_where_they_are(core, tmp_path):
    folder = tmp_path / "trees/docs"
    (folder / "a").mkdir()
    (folder / "a/b.txt").write_text("b")
    await core.installation.resync("docs")
    locator = TreeLocator(core.datasources)
    file, a = await locator.identify("docs/a/b.txt"), await locator.identify("/docs/a")
    assert (file.path, a.path) == ("docs/a/b.txt", "docs/a/")
    assert await locator.identify("docs/a/") == a
    assert await locator.identify("docs") == TreeNode("DATASOURCE:docs", "docs/")
    assert await locator.identify("/") == TreeNode(ROOT_UUID, "")
    uuids = [file.uuid, a.uuid, "DATASOURCE:blobs", "DATASOURCE:gone", ROOT_UUID, "no uuid"]
    assert await locator.locate(uuids) == {
        file.uuid: "docs/a/b.txt", a.uuid: "docs/a/", "DATASOURCE:blobs": "blobs/", ROOT_UUID: "",
    }  # fmt: skip
    shutil.move(folder / "a", folder / "moved")
    await core.installation.resync("docs")
    assert await locator.locate([file.uuid, a.uuid]) == {file.uuid: "docs/moved/b.txt", a.uuid: "docs/moved/"}


@pytest.mark.parametrize("path", ["nothing", "docs/nothing", "docs/nothing/", "docs//", "docs/a/../b", "../docs"])
async def test_what_is_not_there(core, path):
    with pytest.raises(NotFound):
        await TreeLocator(core.datasources).identify(path)


async def test_a_datasource_that_fails_hides_its_nodes_alone(core, tmp_path):
    locator = TreeLocator(core.datasources)
    uuid = (await locator.identify("blobs")).uuid
    await core.datasources.close("docs")
    assert await locator.locate([uuid, "DATASOURCE:docs"]) == {uuid: "blobs/"}
