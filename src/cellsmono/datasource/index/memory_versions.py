"""The noncurrent versions of an index in plain dictionaries."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from cellsmono.datasource.index import keys, rules, versions
from cellsmono.interfaces.node import Node, NodeMeta
from cellsmono.interfaces.patch import PutLeaf
from cellsmono.interfaces.paths import is_folder
from cellsmono.interfaces.version import (
    Version,
    Versioning,
    VersionPage,
    missing_version,
    new_version_id,
    sequence_of,
)


class MemoryVersions:
    """By key the noncurrent versions and delete markers, newest first. ``begin`` and ``undo`` surround a patch."""

    def __init__(self) -> None:
        self.versioning = Versioning.OFF
        self._stored: dict[str, tuple[Version, ...]] = {}
        self._undo: list[tuple[str, tuple[Version, ...]]] = []

    @property
    def is_on(self) -> bool:
        """Whether there can be any."""
        return self.versioning is not Versioning.OFF

    def begin(self) -> None:
        """A patch begins."""
        self._undo = []

    def undo(self) -> None:
        """The patch failed: as it was before."""
        for key, stored in reversed(self._undo):
            self._set(key, stored)

    def count(self) -> tuple[int, int]:
        """How many there are, and how many bytes of content."""
        everything = [version for stored in self._stored.values() for version in stored]
        return len(everything), sum(version.size for version in everything)

    # --- changing

    def take_turns(self, old: Node | None, node: Node, operation: PutLeaf, now_ns: int) -> Node:
        """New content comes to a key; returns it with its id. What was there is kept if that is asked for."""
        node = replace(node, version=rules.id_of_leaf(old, node, operation, self.versioning, now_ns))
        if old is None:
            self.note_superseded(node.path, now_ns)
        elif operation.keeps:
            self.keep(old, now_ns)
        if not node.version:
            self.drop(node.path, "")
        return node

    def keep(self, node: Node, now_ns: int) -> None:
        """What a key showed becomes a noncurrent version."""
        current = versions.current_version(node, self._newest(node.path))
        self._push(replace(current, is_latest=False, since_ns=now_ns))

    def put_marker(self, key: str, version: str, now_ns: int) -> None:
        """A delete marker becomes the newest version of a key that shows nothing."""
        self.note_superseded(key, now_ns)
        if not version:
            self.drop(key, "")
        self._push_marker(key, version, now_ns)

    def cover(self, path: str, now_ns: int) -> None:
        """Put delete markers where keys have noncurrent versions and show nothing any more."""
        for key in self._keys_at(path):
            if self._stored[key][0].node is not None:
                self._push_marker(key, new_version_id(now_ns), now_ns)

    def note_superseded(self, path: str, now_ns: int) -> None:
        """Something new stands above delete markers."""
        for key in self._keys_at(path):
            newest, *others = self._stored[key]
            if newest.node is None:
                self._change(key, (replace(newest, since_ns=now_ns), *others))

    def free_null(self, path: str, now_ns: int) -> None:
        """A null version is moved to a key, or below a folder: one that is there gets an id, so that both stay."""
        for key in self._keys_at(path):
            self._change(key, tuple(each if each.id else _named(each, now_ns) for each in self._stored[key]))

    def drop(self, key: str, version: str) -> None:
        """Remove a noncurrent version or delete marker, if there is one of this id."""
        stored = self._stored.get(key, ())
        left = tuple(each for each in stored if each.id != version)
        if left != stored:
            self._change(key, left)

    def take(self, key: str, version: str) -> Node:
        """Remove a noncurrent version that becomes the current one. Raises NotFound (reason ``version``)."""
        found = self._find_content(key, version)
        self.drop(key, version)
        return found

    def set_meta(self, key: str, version: str, meta: NodeMeta) -> None:
        """Replace the metadata of a noncurrent version. Raises NotFound (reason ``version``)."""
        node = replace(self._find_content(key, version), meta=meta)
        stored = self._stored[key]
        self._change(key, tuple(replace(each, node=node) if each.id == version else each for each in stored))

    def _find_content(self, key: str, version: str) -> Node:
        found = self._find(key, version)
        if found is None or found.node is None:
            raise missing_version(key, version)
        return found.node

    def _push_marker(self, key: str, version: str, now_ns: int) -> None:
        newest = self._newest(key)
        sequence = max(sequence_of(version), 0 if newest is None else newest + 1)
        self._push(Version(key, version, None, now_ns, sequence))

    def _push(self, version: Version) -> None:
        self._change(version.key, (version, *self._stored.get(version.key, ())))

    def _change(self, key: str, stored: tuple[Version, ...]) -> None:
        self._undo.append((key, self._stored.get(key, ())))
        self._set(key, stored)

    def _set(self, key: str, stored: tuple[Version, ...]) -> None:
        if stored:
            self._stored[key] = stored
        else:
            self._stored.pop(key, None)

    # --- reading

    def list_page(
        self,
        nodes: Sequence[Node | str],
        node: Node | None,
        prefix: str,
        delimiter: str,
        after: str,
        after_version: str | None,
        limit: int,
    ) -> VersionPage:
        """A page; ``nodes`` are the current ones and common prefixes after the key ``after``, ``node`` is at it."""
        older: list[Version] = []
        if after and after_version is not None and versions.is_inside(after, prefix, delimiter):
            newest = self._newest(after)
            below = versions.find_below(after_version, node, newest, self._find(after, after_version))
            stored = [each for each in self._stored.get(after, ()) if each.sequence < below]
            older = versions.list_older(node, newest, stored, below)
        ahead = versions.list_ahead(nodes)
        return versions.merge_page(nodes, self._list_stored(prefix, delimiter, after, ahead), older, limit)

    def _list_stored(self, prefix: str, delimiter: str, after: str, ahead: set[tuple[str, str]]) -> list[Version | str]:
        found: dict[str, Sequence[Version | str]] = {}
        start = keys.first_candidate(prefix, delimiter, after)
        for key in sorted(self._stored):
            if start is not None and key >= start and key.startswith(prefix):
                rolled = keys.common_prefix(key, prefix, delimiter)
                found[rolled or key] = [rolled] if rolled else self._stored[key]
        everything = (entry for entries in found.values() for entry in entries)
        return [each for each in everything if isinstance(each, str) or (each.key, each.id) not in ahead]

    def find(self, path: str, version: str, node: Node | None) -> Version | None:
        """The version with this id; ``node`` is what the key shows."""
        return next((each for each in self.list_of(path, node) if each.id == version), None)

    def list_of(self, path: str, node: Node | None) -> list[Version]:
        """The versions of a key, newest first; ``node`` is what it shows."""
        stored = self._stored.get(path, ())
        return versions.list_older(node, self._newest(path), stored, versions.ABOVE_ALL)

    def find_blob(self, uuid: str, blob: int) -> Node | None:
        """The noncurrent version whose content lies in this blob."""
        everything = (version.node for stored in self._stored.values() for version in stored)
        return next((node for node in everything if node and (node.uuid, node.blob) == (uuid, blob)), None)

    def verify(self, nodes: Mapping[str, Node]) -> list[str]:
        """One sentence for each violation."""
        wrong = []
        for key, stored in self._stored.items():
            ids = [version.id for version in stored]
            numbers = [version.sequence for version in stored]
            if len(set(ids)) != len(ids) or numbers != sorted(set(numbers), reverse=True):
                wrong.append(f"The versions of {key!r} are out of order, or one is there twice.")
            if key not in nodes and stored[0].node is not None:
                wrong.append(f"{key!r} has versions, shows nothing, and has no delete marker.")
        return wrong

    def _find(self, key: str, version: str) -> Version | None:
        return next((each for each in self._stored.get(key, ()) if each.id == version), None)

    def _newest(self, key: str) -> int | None:
        stored = self._stored.get(key)
        return stored[0].sequence if stored else None

    def _keys_at(self, path: str) -> list[str]:
        if not is_folder(path):
            return [path] if path in self._stored else []
        return [key for key in self._stored if key.startswith(path)]


def _named(version: Version, now_ns: int) -> Version:
    """A null version with an id."""
    identity = new_version_id(now_ns)
    node = version.node and replace(version.node, version=identity)
    return replace(version, id=identity, node=node)
