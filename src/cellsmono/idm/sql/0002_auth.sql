-- What stands for a user without a password. Of a token only a hash is kept. The secret of a key pair stands here in
-- clear, since signatures can not be checked without it: the file belongs to its owner alone (mode 0600).

CREATE TABLE auth_token (
    id           TEXT PRIMARY KEY,
    user         TEXT NOT NULL,    -- UUID
    digest       BLOB NOT NULL,    -- SHA-256 of the whole token: 256 random bits need no slow hash
    description  TEXT NOT NULL,
    scopes       TEXT NOT NULL,    -- JSON array
    created      REAL NOT NULL,    -- seconds since the epoch, UTC
    expires      REAL NOT NULL,    -- 0: never
    last_used    REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE auth_key (
    access_key   TEXT PRIMARY KEY,
    user         TEXT NOT NULL,    -- UUID
    secret       TEXT NOT NULL,
    description  TEXT NOT NULL,
    created      REAL NOT NULL
) STRICT, WITHOUT ROWID;
