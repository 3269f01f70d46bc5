"""Users at work in a whole application: a flat and a structured datasource, and workspaces over both."""

from contextlib import asynccontextmanager

import pytest

from cellsmono.interfaces.datasource import CopyOptions, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.node import FolderKind
from cellsmono.interfaces.people import CreateUser, CreateWorkspace, GiveWorkspace, ReadUser, SetTemplate
from cellsmono.interfaces.router import Actor

OWNER = Actor("owner")


async def chunks(*pieces):
    for piece in pieces:
        yield piece


class Town:
    """A core with users and workspaces, and short names for what they do."""

    def __init__(self, core):
        self.core = core
        self.router = core.router
        self.actors = {"owner": OWNER}

    async def perform(self, request):
        return await self.core.installation.people.perform(request)

    async def actor(self, login):
        return Actor(login, "user", user=(await self.perform(ReadUser(login))).uuid)

    async def settle(self, *logins):
        """Make users, and the workspaces: ``own`` for each in both formats, ``plain`` and ``blobs`` for all."""
        for login in logins:
            await self.perform(CreateUser(login))
            self.actors[login] = await self.actor(login)
        await self.perform(SetTemplate("own-blobs", "blobs/of/{user}"))
        await self.perform(SetTemplate("own-plain", "plain/of/{user}"))
        for slug, roots in {
            "own": (("flat", "TEMPLATE:own-blobs"), ("plain", "TEMPLATE:own-plain")),
            "the-plain": (("", "plain"),),
            "the-blobs": (("", "blobs"),),
        }.items():
            await self.perform(CreateWorkspace(slug, roots))
            await self.perform(GiveWorkspace(slug, "group:/", ("read", "write")))

    async def put(self, who, slug, path, content=b"x", size=-1, **options):
        wanted = len(content) if size == -1 else size
        step = max(len(content) // 4, 1)
        pieces = [content[at : at + step] for at in range(0, len(content), step)]
        write = WriteOptions(size=wanted, **options)
        return await self.router.put_node(self.actors[who], slug, path, chunks(*pieces), PlainDigest(), write)

    async def read(self, who, slug, path):
        opened = await self.router.open_node(self.actors[who], slug, path)
        try:
            content = b""
            while len(content) < opened.node.size:
                content += await opened.reader.read(len(content), opened.node.size - len(content))
            return content
        finally:
            opened.reader.close()

    async def stat(self, who, slug, path):
        return await self.router.read_node(self.actors[who], slug, path)

    async def folder(self, who, slug, path):
        return await self.router.create_folder(self.actors[who], slug, path, FolderKind.FOUND)

    async def copy(self, who, slug, source, path, *, to=""):
        return await self.router.copy_node(self.actors[who], slug, source, to or slug, path, CopyOptions())

    async def move(self, who, slug, source, path):
        return await self.router.move_node(self.actors[who], slug, source, path)

    async def delete(self, who, slug, path):
        return await self.router.delete_node(self.actors[who], slug, path)

    async def keys(self, who, slug, prefix=""):
        page = await self.router.list_keys(self.actors[who], slug, prefix)
        return [node.path for node in page.entries]


@pytest.fixture
def open_town(open_it, make_source):
    """Open the town; the first time with ``settle``."""

    @asynccontextmanager
    async def start(*logins, **options):
        async with open_it(make_source("plain"), make_source("blobs", format="flat"), follow=False, **options) as core:
            town = Town(core)
            if logins:
                await town.settle(*logins)
            yield town

    return start


@pytest.fixture
async def town(open_town):
    async with open_town("alice", "bob") as made:
        yield made
