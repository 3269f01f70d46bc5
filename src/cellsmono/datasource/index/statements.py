"""What a patch says to the tables of the tree."""

INSERT_NODE = (
    "INSERT INTO index_node (parent, name, folder, uuid, size, mtime_ns, ino, dev, mode, etag, hash, block_hash, meta,"
    " blob, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
UPDATE_NODE = (
    "UPDATE index_node SET uuid = ?, size = ?, mtime_ns = ?, ino = ?, dev = ?, mode = ?, etag = ?, hash = ?,"
    " block_hash = ?, meta = ? WHERE parent = ? AND name = ?"
)
UPDATE_CONTENT = (
    "UPDATE index_node SET size = ?, mtime_ns = ?, ino = ?, dev = ?, mode = ?, etag = ?, hash = ?, block_hash = ?,"
    " meta = ?, blob = ?, version = ? WHERE parent = ? AND name = ?"
)
UPDATE_ATTRIBUTES = "UPDATE index_node SET etag = ?, hash = ?, block_hash = ?, meta = ? WHERE parent = ? AND name = ?"
MOVE_NODE = (
    "UPDATE index_node SET parent = ?, name = ?, size = ?, mtime_ns = ?, ino = ?, dev = ?, mode = ?"
    " WHERE parent = ? AND name = ?"
)
DELETE_NODE = "DELETE FROM index_node WHERE parent = ? AND name = ?"
DELETE_NODES_WITHIN = "DELETE FROM index_node WHERE parent IN (SELECT id FROM index_folder WHERE lft >= ? AND lft <= ?)"
DELETE_FOLDERS_WITHIN = "DELETE FROM index_folder WHERE lft >= ? AND lft <= ?"
INSERT_FOLDER = "INSERT INTO index_folder (parent, name, lft, rgt, kind) VALUES (?, ?, ?, ?, ?)"
UPDATE_KIND = "UPDATE index_folder SET kind = ? WHERE id = ?"
MOVE_FOLDER = "UPDATE index_folder SET parent = ?, name = ? WHERE id = ?"
UPDATE_STATE = (
    "UPDATE index_folder SET mtime_ns = ?1, ctime_ns = ?2, fingerprint = ?3"
    " WHERE id = ?4 AND (mtime_ns IS NOT ?1 OR ctime_ns IS NOT ?2 OR fingerprint IS NOT ?3)"
)
NOTE_MOVE = "UPDATE index_state SET moves = moves + 1"
SELECT_OWED = "SELECT owed FROM index_state"
UPDATE_OWED = "UPDATE index_state SET owed = ?"
