"""Listings of workspaces against a model that looks at every key: what may be read, grouped and cut into pages."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellsmono.data.router.places import top_of
from cellsmono.data.router.workspaces import WorkspaceRouter
from cellsmono.datasource.index.memory import MemoryIndex
from cellsmono.interfaces.node import Facts, Node
from cellsmono.interfaces.patch import Patch, PutLeaf
from cellsmono.interfaces.permissions import Grant, Right
from cellsmono.interfaces.router import Actor
from cellsmono.interfaces.version import Version
from cellsmono.interfaces.views import View, ViewRoot

ALICE = Actor("alice", "user", user="uuid")
NAMES = ["a", "b", "ab", "é", "a!"]
FOLDERS = st.lists(st.sampled_from(NAMES), max_size=3).map(lambda names: "".join(name + "/" for name in names))
KEYS = st.lists(st.builds(str.__add__, FOLDERS, st.sampled_from(NAMES)), max_size=25, unique=True)
RIGHTS = st.sampled_from([Right.NONE, Right.READ, Right.WRITE, Right.DENY, Right.READ | Right.WRITE])
MARKS = st.dictionaries(st.one_of(FOLDERS, st.builds(str.__add__, FOLDERS, st.sampled_from(NAMES))), RIGHTS, max_size=5)
ROOTS = st.lists(
    st.tuples(st.sampled_from(["A", "B", "AB"]), FOLDERS), min_size=1, max_size=3, unique_by=lambda root: root[0]
)


class Below:
    """The router of datasources, as far as listings go: one datasource in memory."""

    def __init__(self, index):
        self.index = index
        self.fetched = 0

    async def list_keys(self, actor, root, prefix="", delimiter="", after="", limit=1000):
        assert (actor.kind, root) == ("system", "ds")
        self.fetched += 1
        return await self.index.list_keys(prefix, delimiter, after, limit)

    async def list_versions(self, actor, root, prefix="", delimiter="", after="", after_version=None, limit=1000):
        assert (actor.kind, root) == ("system", "ds")
        return await self.index.list_versions(prefix, delimiter, after, after_version, limit)


class OneView:
    def __init__(self, view):
        self.view = view

    async def open_view(self, actor, slug):
        return self.view if slug == self.view.slug else None

    async def list_views(self, actor):
        return [self.view]


async def fill(keys):
    index = MemoryIndex(datasource="ds")
    if keys:
        await index.apply(Patch(tuple(PutLeaf(key, facts=Facts(1, 1)) for key in keys), "test"))
    return index


def build_view(roots, marks, scopes=None):
    grants = {f"ds/{path}": Grant(f"ds/{path}", 0, rights) for path, rights in marks.items()}
    reach = None if scopes is None else {f"ds/{path}": rights for path, rights in scopes.items()}
    placed = sorted((ViewRoot(name, f"ds/{folder}") for name, folder in roots), key=lambda root: root.name.encode())
    turns = tuple(sorted({*grants, *(reach or ())}))
    return View("ws", 0.0, tuple(placed), len(roots) > 1, grants, reach, turns)


def model(view, keys, prefix, delimiter, after):
    """All entries of the listing, in order."""
    shown = set()
    for root in view.roots:
        top = top_of(view, root)
        for key in keys:
            if key.startswith(top.above) and view.rights(f"ds/{key}") & Right.READ:
                shown.add(top.show(key))
        is_level = view.has_levels and delimiter in top.shown[len(prefix) :] and top.shown.startswith(prefix)
        if delimiter and is_level and view.may_read_below(f"ds/{top.above}"):
            shown.add(top.shown + "\0")  # a level is there also when nothing is in it
    found = []
    for key in sorted(shown, key=str.encode):
        if not key.startswith(prefix):
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = key if at < 0 else key[: at + len(delimiter)]
        is_passed = entry.encode() <= after.encode() or (at >= 0 and after.startswith(entry))
        if not is_passed and entry not in found:
            found.append(entry)
    return found


async def list_all(router, prefix, delimiter, after, limit):
    found = []
    while True:
        page = await router.list_keys(ALICE, "ws", prefix, delimiter, after, limit)
        names = [entry.path if isinstance(entry, Node) else entry for entry in page.entries]
        found += names
        if not page.next_after:
            return found
        assert len(names) == limit, "a page that is not the last one is full"
        assert page.next_after == names[-1]
        after = page.next_after


@settings(deadline=None, max_examples=400)
@given(
    KEYS, ROOTS, MARKS, st.one_of(st.none(), MARKS), st.sampled_from(["", "a", "a/", "A", "A/", "A/a/", "AB/", "b/a"]),
    st.sampled_from(["", "/", "b", "a/"]), st.sampled_from(["", "a", "a/", "A/", "A/a", "AB", "b", "B/b"]),
    st.integers(1, 4),
)  # fmt: skip
def test_pages_hold_what_may_be_read(keys, roots, marks, scopes, prefix, delimiter, after, limit):
    async def check():
        view = build_view(roots, marks, scopes)
        router = WorkspaceRouter(Below(await fill(keys)), OneView(view), None)
        assert await list_all(router, prefix, delimiter, after, limit) == model(view, keys, prefix, delimiter, after)

    asyncio.run(check())


@settings(deadline=None, max_examples=150)
@given(KEYS, ROOTS, MARKS, st.sampled_from(["", "a", "A/", "A/a/"]), st.sampled_from(["", "/"]), st.integers(1, 4))
def test_versions_are_listed_alike(keys, roots, marks, prefix, delimiter, limit):
    async def check():
        view = build_view(roots, marks)
        router = WorkspaceRouter(Below(await fill(keys)), OneView(view), None)
        found, after, version = [], "", None
        while True:
            page = await router.list_versions(ALICE, "ws", prefix, delimiter, after, version, limit)
            found += [entry.key if isinstance(entry, Version) else entry for entry in page.entries]
            if not page.next_key:
                break
            after, version = page.next_key, page.next_version or None
        assert found == model(view, keys, prefix, delimiter, "")

    asyncio.run(check())


@pytest.mark.parametrize("hidden", [0, 500])
async def test_a_thousand_children_are_not_a_thousand_checks(hidden, monkeypatch):
    asked = []
    rights = View.rights
    monkeypatch.setattr(View, "rights", lambda view, path: asked.append(path) or rights(view, path))
    keys = [f"folder/{number:04}" for number in range(1000)] + [f"secret/{number:04}" for number in range(hidden)]
    marks = {"": Right.READ, "secret/": Right.DENY} if hidden else {"": Right.READ}
    below = Below(await fill(keys))
    router = WorkspaceRouter(below, OneView(build_view([("A", "")], marks)), None)
    page = await router.list_keys(ALICE, "ws", limit=1000)
    assert len(page.entries) == 1000
    assert not page.next_after
    assert len(asked) < 10
    assert below.fetched <= 3


async def test_what_is_hidden_is_passed_over_at_once():
    keys = [f"secret/{number:05}" for number in range(20_000)] + ["z"]
    below = Below(await fill(keys))
    router = WorkspaceRouter(below, OneView(build_view([("A", "")], {"": Right.READ, "secret/": Right.DENY})), None)
    page = await router.list_keys(ALICE, "ws", limit=10)
    assert [entry.path for entry in page.entries] == ["z"]
    assert below.fetched == 2
