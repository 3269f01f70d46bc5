-- Uploads that were completed or aborted and whose folders may still be on the disk, when a crash came in between.

CREATE TABLE objects_finished (
    id TEXT PRIMARY KEY,
    bucket TEXT NOT NULL
) WITHOUT ROWID;
