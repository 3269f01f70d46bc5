-- Versions that a key does not show: content that was replaced or deleted, and delete markers. What a key shows is its
-- node, whose id among the versions stands with it (NULL: the null version). A key that has rows here and no node has a
-- delete marker as the newest of them.

ALTER TABLE index_node ADD COLUMN version BLOB;

CREATE TABLE index_version (
    key TEXT NOT NULL,
    seq INTEGER NOT NULL,           -- grows with each version of a key
    id BLOB NOT NULL,               -- 16 bytes; empty for the null version
    since_ns INTEGER NOT NULL,      -- when a newer one took its place; without a meaning for the newest marker
    uuid BLOB,                      -- of the blob; NULL for a delete marker
    blob INTEGER,
    size INTEGER NOT NULL,          -- from here on as in index_node
    mtime_ns INTEGER NOT NULL,
    etag BLOB,
    hash BLOB,
    block_hash BLOB,
    meta BLOB,
    PRIMARY KEY (key, seq DESC)
) WITHOUT ROWID;

CREATE INDEX index_version_uuid ON index_version (uuid) WHERE uuid IS NOT NULL;

ALTER TABLE index_state ADD COLUMN versioning TEXT NOT NULL DEFAULT '';

ALTER TABLE index_state ADD COLUMN versions INTEGER NOT NULL DEFAULT 0;

ALTER TABLE index_state ADD COLUMN version_bytes INTEGER NOT NULL DEFAULT 0;
