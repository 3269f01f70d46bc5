-- A node has one content, and its noncurrent versions have others that bear its UUID. ``kept`` is 1 for what lies in
-- the internal datasource ``versions`` on the structured side; its key there stands in the place of an object key.

CREATE TABLE migration_content (
    uuid BLOB NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    size INTEGER NOT NULL,
    source_facts BLOB NOT NULL,
    target_facts BLOB NOT NULL,
    kept INTEGER NOT NULL,
    PRIMARY KEY (uuid, source)
) WITHOUT ROWID;

INSERT INTO migration_content SELECT uuid, source, target, size, source_facts, target_facts, 0 FROM migration_copy;

DROP TABLE migration_copy;
