"""Policies that depend on the tags of objects: no method of the router decides without them, or by older ones."""

import inspect
import json

import pytest
from msgspec.structs import replace

from cellsmono.data.router.router import Router
from cellsmono.interfaces.datasource import CopyOptions, WriteOptions
from cellsmono.interfaces.digest import PlainDigest
from cellsmono.interfaces.locks import LockRule, ObjectLock
from cellsmono.interfaces.node import FolderKind, NodeMeta
from cellsmono.interfaces.router import Actor, NodeRouter
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.errors import Forbidden

OWNER, STRANGER = Actor("owner"), Actor("anonymous", "anonymous")
PUBLIC = {"StringEquals": {"s3:ExistingObjectTag/public": "yes"}}
TAGGED = NodeMeta(tags={"public": "yes"})


async def one_chunk():
    yield b"hello"


class Site:
    """A flat datasource with versions, an object with a tag, one without, and a policy."""

    def __init__(self, core):
        self.router = Router(core.installation, core.settings.buckets)
        self.store = core.datasources.triple("docs").store

    async def put(self, path, meta=NodeMeta()):  # noqa: B008 - frozen
        return await self.store.put_node(path, one_chunk(), PlainDigest(), WriteOptions(meta=meta))

    async def rule(self, effect="Allow", action="s3:*", condition=PUBLIC):
        arns = ["arn:aws:s3:::docs", "arn:aws:s3:::docs/*"]
        row = {"Effect": effect, "Principal": "*", "Action": action, "Resource": arns, "Condition": condition}
        policy = json.dumps({"Statement": row})
        await self.router.change_settings(OWNER, "docs", "s3:PutBucketPolicy", lambda old: replace(old, policy=policy))

    def values(self, path, upload_id, version):
        return {
            "actor": STRANGER, "root": "docs", "source_root": "docs", "source": path, "path": path, "paths": [path],
            "kind": FolderKind.MARKER, "meta": NodeMeta(), "version": version, "versioning": Versioning.ENABLED,
            "limit": 10, "number": 1, "after": "", "upload_id": upload_id, "etag": "", "parts": [], "context": b"",
            "prefix": "", "after_key": "", "after_id": "", "action": "s3:PutObjectRetention",
            "digest": PlainDigest(), "rule": LockRule(), "body": one_chunk(), "size": 5,
            "change": lambda old, *_: old or ObjectLock(hold="ON"),
        }  # fmt: skip


@pytest.fixture
async def site(open_it, make_source):
    async with open_it(make_source("docs", format="flat", versions=True), follow=False) as core:
        made = Site(core)
        await made.store.set_versioning(Versioning.ENABLED)
        yield made


METHODS = [
    name
    for name, method in inspect.getmembers(NodeRouter, inspect.iscoroutinefunction)
    if "actor" in inspect.signature(method).parameters
]
OPEN = {
    "read_node", "open_node", "read_version", "read_latest", "open_version", "update_meta", "update_version_meta"
}  # fmt: skip
"""What a stranger may do with an object that a policy opens altogether by its tags: to write one there are none yet."""
HARMLESS = {"check_sealing"}
"""What tells nothing of objects."""


def arguments_of(method, values):
    wanted = inspect.signature(method).parameters.values()
    found = {each.name: values[each.name] for each in wanted if each.default is each.empty and each.name != "options"}
    if "options" in inspect.signature(method).parameters:
        found["options"] = CopyOptions() if method.__name__ == "copy_node" else WriteOptions()
    return found


@pytest.mark.parametrize("name", METHODS)
async def test_a_stranger_gets_what_the_tags_open_and_no_more(site, name):
    shut, tagged = await site.put("shut"), await site.put("open", TAGGED)
    upload = await site.store.create_upload("shut", b"")
    await site.rule()
    method = getattr(site.router, name)
    for node, may in ((shut, False), (tagged, name in OPEN)):
        arguments = arguments_of(method, site.values(node.path, upload.upload_id, node.version))
        if may or name in HARMLESS:
            outcome = await method(**arguments)
            if hasattr(outcome, "reader"):
                outcome.reader.close()
        else:
            with pytest.raises(Forbidden):
                await method(**arguments)
    assert (await site.store.read_node("shut")) == shut
    assert (await site.store.read_node("open")) == tagged


async def test_the_content_that_is_opened_decides(site, monkeypatch):
    """Not what was there a moment ago: the object is replaced between the question and the look."""
    await site.put("x", TAGGED)
    await site.rule()
    real = site.store.open_node

    async def open_late(path):
        await site.put("x")
        return await real(path)

    monkeypatch.setattr(site.store, "open_node", open_late)
    with pytest.raises(Forbidden):
        await site.router.open_node(STRANGER, "docs", "x")


async def test_tags_that_come_in_between_hold_a_change_up(site, monkeypatch):
    await site.put("x")
    await site.rule("Deny", ["s3:PutObjectTagging", "s3:PutObjectVersionTagging"])
    real = site.store.update_meta

    async def update_late(path, change):
        await real(path, lambda meta: replace(meta, tags={"public": "yes"}))
        return await real(path, change)

    monkeypatch.setattr(site.store, "update_meta", update_late)
    with pytest.raises(Forbidden):
        await site.router.update_meta(OWNER, "docs", "x", lambda meta: replace(meta, tags={}))
    assert (await site.store.read_node("x")).meta.tags == {"public": "yes"}


async def test_a_reader_that_is_refused_is_closed(site, monkeypatch):
    await site.put("x")
    await site.rule()
    opened = []
    real = site.store.open_node

    async def open_and_note(path):
        opened.append(await real(path))
        return opened[-1]

    monkeypatch.setattr(site.store, "open_node", open_and_note)
    with pytest.raises(Forbidden):
        await site.router.open_node(STRANGER, "docs", "x")
    with pytest.raises(ValueError, match="closed"):
        await opened[0].reader.read(0, 1)
