"""What is to be brought over, and where each content lies on both sides.

Leaves are found by their index. Noncurrent versions are rows beside them, and lie in blobs on a flat side, in the
internal datasource ``versions`` on a structured one; between two structured places they stay where they are.
"""

from collections.abc import AsyncGenerator, Sequence

import msgspec

from cellsmono.datasource.flat.layout import Layout, parse_key
from cellsmono.datasource.index.sqlite import SqliteIndex
from cellsmono.datasource.migration.journal import Copy
from cellsmono.datasource.migration.side import Side, blob_at, with_sides
from cellsmono.datasource.versions.keeper import VERSIONS
from cellsmono.interfaces.node import SEALED, Facts, Node, is_sealed
from cellsmono.interfaces.objects import Entry
from cellsmono.interfaces.version import Version, VersionPage

PAGE = 1000


async def list_leaves(index: SqliteIndex) -> AsyncGenerator[list[Node], None]:
    """All leaves in pages, in the order of their paths."""
    after = ""
    while True:
        page = await index.list_keys(after=after, limit=PAGE)
        yield [entry for entry in page.entries if isinstance(entry, Node) and not entry.is_folder]
        if not page.next_after:
            return
        after = page.next_after


async def list_noncurrent(index: SqliteIndex) -> AsyncGenerator[list[Node], None]:
    """The content of all noncurrent versions in pages, in the order of their keys."""
    page = VersionPage(())
    while (await index.stats()).versions:
        page = await index.list_versions(after=page.next_key, after_version=page.next_version, limit=PAGE)
        yield [each.node for each in page.entries if isinstance(each, Version) and each.node and not each.is_latest]
        if not page.next_key:
            return


def carries_versions(source: Side, target: Side) -> bool:
    """Whether the content of noncurrent versions is copied; ``versions`` serves all structured datasources."""
    return source.is_flat or target.is_flat


def uses_keeper(source: Side, target: Side) -> bool:
    """Whether it goes to ``versions``, or comes from there, and so needs other calls than leaves do."""
    return source.is_flat is not target.is_flat


def keys_of(source: Side, target: Side, node: Node, *, kept: bool = False) -> tuple[str, str]:
    """Where content lies at the source, and where at the target. ``kept`` is as for ``Copy``."""
    if not kept:
        return source.key(node, node.blob), target.key(node, blob_at(target, node.uuid, node.blob))
    number = version_number(target, node.uuid, node.blob)
    return source.version_key(node.uuid, node.blob), target.version_key(node.uuid, number)


def version_number(target: Side, uuid: str, blob: int) -> int:
    """The number that the content of a version has at the target.

    In ``versions`` none is 0: there it is always plain that a number is not that of the leaf itself.
    """
    if target.is_flat:
        return blob_at(target, uuid, blob)
    return blob - SEALED if is_sealed(blob) else blob or 1


def number_at(side: Side, key: str, *, kept: bool) -> int:
    """The number that content at a key of a side has in the index; leaves of a structured side have none."""
    if kept and side.kept is not None:
        found = side.kept.parse(key)
    else:
        found = parse_key(side.layout or Layout.PLAIN, key) if side.is_flat else None
    return 0 if found is None else found[1]


def describe_content(source: Side, key: str) -> str:
    """What lies at a key of a side that is read, in words."""
    return f"its blob {key}" if source.is_flat else f"its content {key} in the datasource {VERSIONS!r}"


def describe_missing(source: Side, key: str) -> str:
    """That it is not there."""
    return f"{describe_content(source, key)} is not there"


def is_expected(source: Side, node: Node, facts: Facts, *, kept: bool = False) -> bool:
    """Whether an object of the source is the content that the index means."""
    return facts.size == node.size if kept or source.is_flat else node.facts.is_same_content(facts)


def is_copy_of(source: Side, target: Side, node: Node, copy: Copy) -> bool:
    """Whether a copy that was made is that of what a leaf or version is now."""
    keys = keys_of(source, target, node, kept=copy.kept)
    return (copy.source, copy.target) == keys and is_expected(source, node, copy.source_facts, kept=copy.kept)


async def find_owners(
    side: Side, index: SqliteIndex, copies: Sequence[Copy], *, is_switched: bool = False, takes_either: bool
) -> list[Node | None]:
    """Whose content each copy is by the index, which is about this side: the source, or once switched the target.

    Content that is kept is that of a version only. Other content is that of a leaf, or of either.
    """
    keys = [copy.target if is_switched else copy.source for copy in copies]
    numbers = [number_at(side, key, kept=copy.kept) for key, copy in zip(keys, copies, strict=True)]
    leaves = await index.find_nodes([copy.uuid for copy in copies])
    named = await index.find_blobs([(copy.uuid, number) for copy, number in zip(copies, numbers, strict=True)])
    found: list[Node | None] = []
    for copy, number, leaf, owner in zip(copies, numbers, leaves, named, strict=True):
        if leaf is not None and leaf.blob == number and not leaf.is_folder:
            found.append(None if copy.kept else leaf)
        else:
            found.append(owner if copy.kept or takes_either else None)
    return found


async def remove_objects(side: Side, objects: Sequence[tuple[str, Facts]]) -> set[str]:
    """Remove objects that still have these facts; the keys of those that are something else now."""
    found = await side.objects.stat_entries(side.bucket, [key for key, _ in objects])
    keys, changed = [], set()
    for (key, facts), entry in zip(objects, found, strict=True):
        if entry is None:
            continue
        if isinstance(entry, Entry) and not entry.name.endswith("/") and is_unchanged(facts, entry.facts):
            keys.append(key)
        else:
            changed.add(key)
    for outcome in await side.objects.delete_many(side.bucket, with_sides(side, keys)):
        if isinstance(outcome, Exception):
            raise outcome
    return changed


def is_unchanged(then: Facts, now: Facts) -> bool:
    """Whether an object is the one that was looked at then."""
    return msgspec.structs.replace(now, mode=then.mode, dev=then.dev) == then or then.is_same_content(now)
