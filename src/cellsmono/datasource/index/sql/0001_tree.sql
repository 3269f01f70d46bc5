-- The tree of one datasource. Folders carry the nested set (lft, rgt) and the counters of their direct children; every
-- node, folders included, hangs on its folder in the order of its name (a folder's ends with '/'), which makes the
-- order of a walk the byte order of S3 keys. A file never touches a label, a move relabels folders only.

CREATE TABLE index_folder (
    id INTEGER PRIMARY KEY,             -- 1 is the root
    parent INTEGER NOT NULL,            -- 0 above the root
    name TEXT NOT NULL,
    lft INTEGER NOT NULL,               -- nested set with gaps; not unique, because bulk moves pass through one another
    rgt INTEGER NOT NULL,
    folders INTEGER NOT NULL DEFAULT 0, -- direct children only
    files INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    kind INTEGER NOT NULL DEFAULT 0,    -- FolderKind
    mtime_ns INTEGER NOT NULL DEFAULT 0,  -- state of the last scan that agreed
    ctime_ns INTEGER NOT NULL DEFAULT 0,
    fingerprint BLOB
);

CREATE INDEX index_folder_lft ON index_folder (lft, folders, files, bytes);

CREATE INDEX index_folder_rgt ON index_folder (rgt);

CREATE TABLE index_node (
    parent INTEGER NOT NULL,            -- index_folder.id
    name TEXT NOT NULL,
    folder INTEGER,                     -- index_folder.id of a folder, NULL for a file
    uuid BLOB NOT NULL,                 -- 16 bytes
    size INTEGER NOT NULL,              -- this and the next three: a BLOB of decimal digits beyond 63 bits
    mtime_ns INTEGER NOT NULL,
    ino INTEGER NOT NULL,
    dev INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    etag BLOB,                          -- 16 bytes when it is a plain MD5, else TEXT, NULL while unknown
    hash BLOB,                          -- 16 bytes, 0 when it is the same as etag, NULL while unknown
    meta BLOB,                          -- NodeMeta as MessagePack, NULL when empty
    PRIMARY KEY (parent, name)
) WITHOUT ROWID;

CREATE UNIQUE INDEX index_node_uuid ON index_node (uuid);

CREATE INDEX index_node_ino ON index_node (ino) WHERE ino <> 0;

CREATE INDEX index_node_unhashed ON index_node (parent, name) WHERE hash IS NULL AND folder IS NULL;

CREATE TABLE index_change (
    seq INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    path TEXT NOT NULL,
    uuid BLOB NOT NULL,
    at_ns INTEGER NOT NULL,
    source TEXT NOT NULL,
    origin TEXT NOT NULL
);

CREATE TABLE index_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    moves INTEGER NOT NULL              -- grows whenever a folder's path may have begun to mean something else
);

INSERT INTO index_state (id, moves) VALUES (1, 0);
