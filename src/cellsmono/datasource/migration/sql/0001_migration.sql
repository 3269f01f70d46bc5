-- What was copied: one row for each leaf whose copy at the target was compared with its source and is on the disk.

CREATE TABLE migration_copy (
    uuid BLOB PRIMARY KEY,
    source TEXT NOT NULL,               -- object key
    target TEXT NOT NULL,               -- object key
    size INTEGER NOT NULL,
    source_facts BLOB NOT NULL,         -- Facts as MessagePack
    target_facts BLOB NOT NULL
) WITHOUT ROWID;
