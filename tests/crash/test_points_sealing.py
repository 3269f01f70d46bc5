"""D2 for encryption at rest: the process is killed at every system call that changes the disk (see ``points.c``),
while a datasource gets its first key and content, and while everything is sealed anew with another key."""

import asyncio
import shutil

import pytest

from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config

MOST_POINTS = 300
CONTENT = {f"k{n}": b"content %d " % n * (5000 * n + 1) for n in range(3)}

CHILD = """
import asyncio, mmap, os, struct, sys
from cellsmono.app.assembly import open_core
from cellsmono.app.config_sources import load_config
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.datasource import WriteOptions

data, config, operation, board, kill_at = sys.argv[1:6]

async def body(part):
    yield part

def arm(counts):
    with open(board, "r+b") as file:
        mmap.mmap(file.fileno(), 4096)[0:12] = struct.pack("iii", *counts)

async def put(core):
    store = core.datasources.triple("docs").store
    for n in range(3):
        await store.put_node(f"k{n}", body(b"content %d " % n * (5000 * n + 1)), PlainDigest(), WriteOptions())
    await store.blobs.settle()

async def main():
    flags = {"server.data_dir": (data, "--data-dir")}
    counts = 1, 0, int(kill_at)
    if operation == "begin":
        arm(counts)
    async with open_core(load_config(flags, config_file=config, environ={"HOME": data}), follow=False) as core:
        if operation == "rotate":
            arm(counts)
            await core.installation.rotate_key("docs", rewrite=True)
        else:
            await put(core)
        with open(board, "r+b") as file:
            mmap.mmap(file.fileno(), 4096)[0:4] = struct.pack("i", 0)
        os.write(1, b"ack")

asyncio.run(main())
"""


class Place:
    """A datasource that encrypts, brought to the same beginning for each point."""

    def __init__(self, root, run_to_point):
        self.root, self.run_to_point = root, run_to_point
        self.now, self.begin = root / "now", root / "begin"
        self.folder, self.data, self.config = self.now / "docs", self.now / "data", root / "config.toml"
        self.config.write_text(
            f'[[datasource]]\nname = "docs"\nfolder = "{self.folder}"\nhash_content = false\nformat = "flat"\n'
            'encryption = "aes256"\n'
        )
        for made in (self.folder, self.data):
            made.mkdir(parents=True)

    def run(self, operation, kill_at):
        return self.run_to_point(CHILD, str(self.data), str(self.config), operation, kill_at=kill_at)

    def keep(self):
        shutil.copytree(self.now, self.begin)

    def reset(self):
        shutil.rmtree(self.now)
        shutil.copytree(self.begin, self.now)

    def open(self):
        flags = {"server.data_dir": (str(self.data), "--data-dir")}
        return open_core(load_config(flags, config_file=str(self.config), environ={"HOME": str(self.data)}))

    def keys_used(self):
        return {path.read_bytes()[16:24].hex() for path in self.folder.rglob("*.sealed")}


async def read(store, key):
    opened = await store.open_node(key)
    try:
        return await opened.reader.read(0, 1 << 20)
    finally:
        opened.reader.close()


@pytest.fixture
def place(tmp_path, run_to_point):
    return Place(tmp_path, run_to_point)


@pytest.mark.timeout(900)
async def test_sealing_anew_that_is_killed_anywhere_loses_nothing_and_is_gone_on_with(place):
    assert (await asyncio.to_thread(place.run, "put", 0))[0]
    place.keep()
    (first,) = place.keys_used()
    for point in range(1, MOST_POINTS):
        place.reset()
        is_done, _ = await asyncio.to_thread(place.run, "rotate", point)
        used = place.keys_used()
        assert len(used - {first}) <= 1
        async with place.open() as core:
            store = core.datasources.triple("docs").store
            assert {key: await read(store, key) for key in CONTENT} == CONTENT
            assert (await core.installation.check("docs")).is_fine
            if is_done:
                assert first not in used
                return
            report = await core.installation.rotate_key("docs", rewrite=True)
            assert place.keys_used() == {report.key}
            assert report.failed == 0
            assert {key: await read(store, key) for key in CONTENT} == CONTENT
            assert (await core.installation.check("docs")).is_fine
        assert not [path for path in place.now.rglob("t-*") if ".cellsmono" in path.parts]
    raise AssertionError("it never came to its end")


@pytest.mark.timeout(900)
async def test_a_first_start_that_is_killed_anywhere_leaves_no_content_without_its_key(place):
    place.keep()
    for point in range(1, MOST_POINTS):
        place.reset()
        is_done, passed = await asyncio.to_thread(place.run, "begin", 3 * point)
        async with place.open() as core:
            info = await core.installation.read_datasource("docs")
            assert info.error == ""
            store = core.datasources.triple("docs").store
            page = await store.index.list_keys()
            for node in page.entries:
                assert await read(store, node.path) == CONTENT[node.path]
            assert (await core.installation.check("docs", repair=True)).is_fine
        if is_done:
            assert len(page.entries) == len(CONTENT)
            return
    raise AssertionError(f"it never came to its end ({passed} points)")
