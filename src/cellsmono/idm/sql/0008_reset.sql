-- Links with which somebody chooses a new password, once. Of each only a hash is kept.

CREATE TABLE auth_reset (
    user     TEXT PRIMARY KEY,   -- UUID
    digest   BLOB NOT NULL,      -- SHA-256 of what the link carries
    expires  REAL NOT NULL       -- seconds since the epoch, UTC
) STRICT, WITHOUT ROWID;
