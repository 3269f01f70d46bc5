-- Multipart uploads in progress. The bytes lie in the work folder of their bucket; a part without a row does not exist.

CREATE TABLE objects_upload (
    id TEXT PRIMARY KEY,                -- sorts by the time of initiation
    bucket TEXT NOT NULL,
    key BLOB NOT NULL,                  -- UTF-8, so that the order is S3's
    initiated_ns INTEGER NOT NULL,
    context BLOB NOT NULL,              -- the gateway's own data
    part_bytes INTEGER NOT NULL DEFAULT 0  -- distance of two parts in the assembly file, 0 until one fixed it
) WITHOUT ROWID;

CREATE INDEX objects_upload_key ON objects_upload (bucket, key, id);

CREATE TABLE objects_part (
    upload TEXT NOT NULL REFERENCES objects_upload (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified_ns INTEGER NOT NULL,
    checksum BLOB,                      -- JSON of Checksum
    file TEXT NOT NULL,                 -- name of a file of its own; empty: in the assembly file
    start INTEGER NOT NULL,             -- where in that file the part begins
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
