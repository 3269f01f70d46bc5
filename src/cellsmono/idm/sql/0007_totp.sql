-- Second factors. The secret of a code generator stands here in clear, since codes can not be checked without it: the file
-- belongs to its owner alone (mode 0600). Of recovery codes only hashes are kept.

CREATE TABLE auth_totp (
    user     TEXT PRIMARY KEY,   -- UUID
    secret   BLOB NOT NULL,
    step     INTEGER NOT NULL,   -- that of the last code that was used: neither it nor one before is good again
    created  REAL NOT NULL       -- seconds since the epoch, UTC
) STRICT, WITHOUT ROWID;

CREATE TABLE auth_recovery (
    user    TEXT NOT NULL,       -- UUID
    digest  BLOB NOT NULL,       -- SHA-256 of a code that was not used yet
    PRIMARY KEY (user, digest)
) STRICT, WITHOUT ROWID;
