"""Users come to datasources through their workspaces alone: the router below refuses every method to them."""

import inspect
from typing import get_type_hints

import pytest

from cellsmono.data.router.router import Router
from cellsmono.interfaces.datasource import CopyOptions, WriteOptions
from cellsmono.interfaces.locks import LockRule
from cellsmono.interfaces.node import FolderKind, NodeMeta
from cellsmono.interfaces.router import Actor, NodeRouter
from cellsmono.interfaces.version import Versioning
from cellsmono.kernel.errors import Forbidden

USER = Actor("alice", "user", user="uuid")
VALUES = {
    "actor": USER, "root": "docs", "source_root": "docs", "source": "a", "path": "a", "paths": ["a"],
    "kind": FolderKind.FOUND,
    "meta": NodeMeta(), "version": "", "versioning": Versioning.ENABLED, "limit": 10, "number": 1, "after": "",
    "upload_id": "x", "etag": "", "parts": [], "context": b"", "prefix": "", "after_key": "", "after_id": "",
    "action": "s3:GetObject", "change": lambda old: old, "digest": None, "rule": LockRule(), "body": None, "size": 1,
}  # fmt: skip
METHODS = [
    name
    for name, method in inspect.getmembers(NodeRouter, inspect.iscoroutinefunction)
    if "actor" in inspect.signature(method).parameters
]


@pytest.mark.parametrize("name", METHODS)
async def test_it_is_refused(open_it, make_source, name):
    async with open_it(make_source("docs", format="flat"), follow=False) as core:
        router = Router(core.installation, core.settings.buckets)
        method = getattr(router, name)
        assert get_type_hints(method)
        arguments = {
            parameter.name: VALUES[parameter.name]
            for parameter in inspect.signature(method).parameters.values()
            if parameter.default is parameter.empty and parameter.name != "options"
        }
        if "options" in inspect.signature(method).parameters:
            arguments["options"] = CopyOptions() if name == "copy_node" else WriteOptions()
        with pytest.raises(Forbidden):
            await method(**arguments)
