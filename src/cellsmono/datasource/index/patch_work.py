"""Carries the operations of one patch into the tables."""

import sqlite3
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from cellsmono.datasource.index import crowds, labels, rules
from cellsmono.datasource.index.counting import Counts
from cellsmono.datasource.index.log import EventLog
from cellsmono.datasource.index.rows import (
    ABOVE_ROOT,
    SELECT_NODE,
    Row,
    find_folder,
    find_row,
    pack_digest,
    pack_facts,
    pack_hash,
    pack_int,
    pack_meta,
    pack_uuid,
    unpack_node,
    unpack_uuid,
)
from cellsmono.datasource.index.statements import (
    DELETE_FOLDERS_WITHIN,
    DELETE_NODE,
    DELETE_NODES_WITHIN,
    INSERT_FOLDER,
    INSERT_NODE,
    MOVE_FOLDER,
    MOVE_NODE,
    NOTE_MOVE,
    UPDATE_ATTRIBUTES,
    UPDATE_CONTENT,
    UPDATE_KIND,
    UPDATE_NODE,
    UPDATE_STATE,
)
from cellsmono.datasource.index.version_writer import VersionWriter
from cellsmono.datasource.index.versions import pack_version_id
from cellsmono.interfaces.events import EventKind
from cellsmono.interfaces.node import FolderKind, Node
from cellsmono.interfaces.patch import (
    DeleteNode,
    DropVersion,
    FolderScanned,
    KeepVersion,
    MoveNode,
    PromoteVersion,
    PruneFolders,
    PutFolder,
    PutLeaf,
    PutLeaves,
    SetHash,
    SetMeta,
    SetVersionMeta,
)
from cellsmono.interfaces.paths import ancestors_of, is_folder, name_of, parent_of
from cellsmono.interfaces.version import Versioning
from cellsmono.store.database import Tx


class PatchWork:
    """One patch being written. ``counts`` and ``versions`` hold what is still to be added to counters."""

    def __init__(self, tx: Tx, known: dict[str, int], log: EventLog, versioning: Versioning) -> None:
        self._tx = tx
        self._execute = tx.execute
        self._known = known
        self._log = log
        self._now_ns = log.at_ns
        self.counts = Counts(tx)
        self.versions = VersionWriter(tx, versioning, log.at_ns)
        self.effects: list[tuple[str, Node | None]] = []
        self.handlers: dict[type[Any], Callable[[Any], None]] = {
            PutLeaf: self._put_leaf,
            PutLeaves: self._put_leaves,
            PutFolder: self._put_folder,
            MoveNode: self._move,
            DeleteNode: self._delete,
            PruneFolders: self._prune,
            SetMeta: self._set_meta,
            SetHash: self._set_hash,
            FolderScanned: self._note_scan,
            KeepVersion: self._keep_version,
            DropVersion: self._drop_version,
            PromoteVersion: self._promote,
            SetVersionMeta: self._set_version_meta,
        }

    # --- operations --------------------------------------------------------------------------------------------------

    def _put_leaf(self, operation: PutLeaf) -> None:
        path = operation.path
        rules.check_path(path, folder=False)
        parent, name = self._parent_for(path), name_of(path)
        row = self._execute(SELECT_NODE, (parent, name)).fetchone()
        old = None if row is None else unpack_node(path, row)
        change = rules.put_leaf(old, operation)
        if change is None:
            return
        node, event = change
        if self.versions.is_on and rules.brings_content(old, node, operation):
            node = self.versions.take_turns(old, node, operation)
        if old is None:
            self._insert_node(parent, name, node, None)
            self.counts.add(parent, 1, node.size)
        else:
            self._execute(UPDATE_CONTENT, (*_pack_leaf(node), parent, name))
            self.counts.change(parent, old, node)
        self._note(event, node)

    def _put_leaves(self, operation: PutLeaves) -> None:
        rules.check_leaves(operation)
        path, names, facts = operation.path, operation.names, operation.facts
        if not names:
            return
        parent = self._parent_for(path + names[0])
        if self.versions.is_on or not crowds.are_new(self._execute, parent, names):
            for name, each in zip(names, facts, strict=True):
                self._put_leaf(PutLeaf(path + name, each))
            return
        uuids = crowds.insert_leaves(self._tx, parent, names, facts)
        self.counts.add(parent, len(names), sum(each.size for each in facts))
        if self._log.is_bulk:
            # Nobody is told of a single node, and no cache can hold what was not there.
            self._log.note(EventKind.CREATE, path, "")
            return
        for name, uuid, each in zip(names, uuids, facts, strict=True):
            self._note(EventKind.CREATE, Node(path + name, unpack_uuid(uuid), each))

    def _put_folder(self, operation: PutFolder) -> None:
        path = operation.path
        rules.check_path(path, folder=True)
        parent, name = self._parent_for(path) if path else ABOVE_ROOT, name_of(path)
        row = self._execute(SELECT_NODE, (parent, name)).fetchone()
        old = None if row is None else unpack_node(path, row)
        change = rules.put_folder(old, operation, self._now_ns)
        if change is None:
            return
        node, event = change
        if old is None:
            self._insert_folder(parent, name, node)
            return
        values = (pack_uuid(node.uuid), *pack_facts(node.facts), *_pack_content(node), parent, name)
        self._execute_unique(UPDATE_NODE, values, node)
        if node.kind is not old.kind:
            self._execute(UPDATE_KIND, (node.kind, row[1]))
        if node.facts != old.facts:
            self.counts.change(parent, old, node)
        if rules.is_other(old, node):
            self.counts.forget_scan(row[1])
        self._note(event, node)

    def _set_meta(self, operation: SetMeta) -> None:
        self._set_attributes(operation.path, lambda old: rules.set_meta(old, operation))

    def _set_hash(self, operation: SetHash) -> None:
        self._set_attributes(operation.path, lambda old: rules.set_hash(old, operation))

    def _set_attributes(self, path: str, decide: Callable[[Node | None], rules.Change]) -> None:
        """Change what no listing of the folder shows."""
        row = find_row(self._execute, self._known, path)
        change = decide(None if row is None else unpack_node(path, row))
        if change is None:
            return
        node, event = change
        parent = find_folder(self._execute, self._known, parent_of(path)) if path else ABOVE_ROOT
        self._execute(UPDATE_ATTRIBUTES, (*_pack_content(node), parent, name_of(path)))
        self._note(event, node)

    def _note_scan(self, operation: FolderScanned) -> None:
        rules.check_path(operation.path, folder=True)
        folder = find_folder(self._execute, self._known, operation.path)
        if folder is None:
            raise rules.missing_node(operation.path)
        self.counts.flush_one(folder)
        state = (pack_int(operation.mtime_ns), pack_int(operation.ctime_ns), operation.fingerprint or None, folder)
        self._execute(UPDATE_STATE, state)

    def _move(self, operation: MoveNode) -> None:
        rules.check_move(operation)
        source, path = operation.source, operation.path
        row = find_row(self._execute, self._known, source)
        if row is None:
            raise rules.missing_node(source)
        old = unpack_node(source, row)
        node = rules.moved_node(old, operation)
        old_parent = find_folder(self._execute, self._known, parent_of(source)) if source else ABOVE_ROOT
        if old_parent is None:
            raise rules.missing_node(source)
        if source == path:
            if node != old:
                self._execute(UPDATE_CONTENT, (*_pack_leaf(node), old_parent, name_of(path)))
                self.counts.change(old_parent, old, node)
                self._note(None, node)
            return
        if is_folder(path):
            self._move_folder(old, node, old_parent, row[1])
        else:
            self._move_leaf(old, node, old_parent, keeps=operation.keeps)
        if self.versions.is_on:
            self.versions.cover(source)
            self.versions.note_superseded(path)
        self.effects.append((source, None))
        self._note(EventKind.UPDATE_PATH, node, source=source)

    def _move_leaf(self, old: Node, node: Node, old_parent: int, *, keeps: bool) -> None:
        parent, name = self._parent_for(node.path), name_of(node.path)
        row = self._execute(SELECT_NODE, (parent, name)).fetchone()
        if row is not None:
            replaced = unpack_node(node.path, row)
            self._execute(DELETE_NODE, (parent, name))
            self.counts.add(parent, -1, -replaced.size)
            if keeps:
                self.versions.keep(replaced)
        if self.versions.is_on and not node.version:
            self.versions.free_null(node.path)
        self._execute(MOVE_NODE, (parent, name, *pack_facts(node.facts), old_parent, name_of(old.path)))
        self.counts.add(old_parent, -1, -old.size)
        self.counts.add(parent, 1, node.size)

    def _move_folder(self, old: Node, node: Node, old_parent: int, folder: int) -> None:
        if find_row(self._execute, self._known, node.path) is not None:
            raise rules.taken_path(node.path)
        if self.versions.is_on:
            self.versions.free_null(node.path)
        parent, name = self._parent_for(node.path), name_of(node.path)
        self._execute(MOVE_NODE, (parent, name, *pack_facts(node.facts), old_parent, name_of(old.path)))
        self._execute(MOVE_FOLDER, (parent, name, folder))
        if rules.is_other(old, node):
            self.counts.forget_scan(folder)
        if parent != old_parent:
            labels.move_folder(self._tx, folder, parent)
        self.counts.add_folder(old_parent, -1)
        self.counts.add_folder(parent, 1)
        self._forget_folders()

    def _delete(self, operation: DeleteNode) -> None:
        path = operation.path
        rules.check_delete(path)
        row = find_row(self._execute, self._known, path)
        parent = find_folder(self._execute, self._known, parent_of(path))
        if row is None or parent is None:
            if operation.marker is not None:
                self.versions.put_marker(path, operation.marker)
            return
        node = unpack_node(path, row)
        if operation.keeps and not node.is_folder:
            self.versions.keep(node)
        if node.is_folder:
            self.counts.flush()  # a count kept back must not reach a folder that is made later under the same id
            lft, rgt, _, _ = self._execute(labels.SELECT_SPAN, (row[1],)).fetchone()
            self._execute(DELETE_NODES_WITHIN, (lft, rgt))
            self._execute(DELETE_FOLDERS_WITHIN, (lft, rgt))
            self.counts.add_folder(parent, -1)
            self._forget_folders()
        else:
            self.counts.add(parent, -1, -node.size)
        self._execute(DELETE_NODE, (parent, name_of(path)))
        if operation.marker is not None:
            self.versions.put_marker(path, operation.marker)
        elif self.versions.is_on:
            self.versions.cover(path)
        self.effects.append((path, None))
        self._log.note(EventKind.DELETE, path, node.uuid)

    def _keep_version(self, operation: KeepVersion) -> None:
        row = find_row(self._execute, self._known, operation.path)
        if row is not None and not is_folder(operation.path):
            node = unpack_node(operation.path, row)
            self.versions.drop(operation.path, node.version)
            self.versions.keep(replace(node, blob=operation.blob))

    def _drop_version(self, operation: DropVersion) -> None:
        self.versions.drop(operation.path, operation.version)

    def _set_version_meta(self, operation: SetVersionMeta) -> None:
        self.versions.set_meta(operation.path, operation.version, operation.meta)

    def _promote(self, operation: PromoteVersion) -> None:
        path = operation.path
        rules.check_path(path, folder=False)
        kept = self.versions.take(path, operation.version)
        node = rules.promoted_node(kept, operation)
        parent, name = self._parent_for(path), name_of(path)
        row = self._execute(SELECT_NODE, (parent, name)).fetchone()
        old = None if row is None else unpack_node(path, row)
        if old is not None and old.uuid == node.uuid:
            self._execute(UPDATE_CONTENT, (*_pack_leaf(node), parent, name))
            self.counts.change(parent, old, node)
            self._note(EventKind.UPDATE_CONTENT, node)
            return
        if old is not None:
            self._execute(DELETE_NODE, (parent, name))
            self.counts.add(parent, -1, -old.size)
            self._log.note(EventKind.DELETE, path, old.uuid)
        self._insert_node(parent, name, node, None)
        self.counts.add(parent, 1, node.size)
        self._note(EventKind.CREATE, node)

    def _prune(self, operation: PruneFolders) -> None:
        self.counts.flush()
        for folder in reversed(ancestors_of(operation.path)):
            row = find_row(self._execute, self._known, folder)
            if row is not None and (row[11] != FolderKind.IMPLICIT or row[12] or row[13]):
                return
            self._delete(DeleteNode(folder))

    # --- steps -------------------------------------------------------------------------------------------------------

    def _parent_for(self, path: str) -> int:
        """The id of the folder that is to hold ``path``, made if need be."""
        found = find_folder(self._execute, self._known, parent_of(path))
        if found is not None:
            return found
        for folder in ancestors_of(path):
            if find_folder(self._execute, self._known, folder) is None:
                parent = self._parent_for(folder)
                self._insert_folder(parent, name_of(folder), rules.implied_folder(folder, self._now_ns))
        return self._parent_for(path)

    def _insert_folder(self, parent: int, name: str, node: Node) -> None:
        lft, rgt = labels.place_folder(self._tx, parent)
        folder = self._execute(INSERT_FOLDER, (parent, name, lft, rgt, node.kind)).lastrowid
        self._insert_node(parent, name, node, folder)
        self.counts.add_folder(parent, 1)
        if folder is not None:
            self._known[node.path] = folder
        self._note(EventKind.CREATE, node)

    def _insert_node(self, parent: int, name: str, node: Node, folder: int | None) -> None:
        values = (parent, name, folder, pack_uuid(node.uuid), *_pack_leaf(node))
        self._execute_unique(INSERT_NODE, values, node)

    def _execute_unique(self, statement: str, values: Row, node: Node) -> None:
        try:
            self._execute(statement, values)
        except sqlite3.IntegrityError as error:
            raise rules.taken_uuid(node.path, node.uuid) from error

    def _note(self, event: EventKind | None, node: Node, *, source: str = "") -> None:
        self.effects.append((node.path, node))
        if event is not None:
            self._log.note(event, node.path, node.uuid, node, source)

    def _forget_folders(self) -> None:
        """Paths of folders mean something else from now on: here, and (by ``moves``) for every reader."""
        self._known.clear()
        self._execute(NOTE_MOVE)


def _pack_leaf(node: Node) -> Row:
    """The columns from size on."""
    version = pack_version_id(node.version) or None
    return *pack_facts(node.facts), *_pack_content(node), node.blob or None, version


def _pack_content(node: Node) -> Row:
    """The columns etag, hash, block_hash, meta."""
    etag, content_hash = pack_digest(node.etag), pack_hash(node.content_hash, node.etag)
    return etag, content_hash, pack_digest(node.block_hash), pack_meta(node.meta)
