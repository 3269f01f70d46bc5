-- Sessions: what somebody who signed in by password goes on with. Each is a token that is good for a short time, and a
-- refresh token that brings the next one and is good once. Of both only hashes are kept.

ALTER TABLE auth_token ADD COLUMN kind TEXT NOT NULL DEFAULT 'personal';

CREATE TABLE auth_session (
    id       TEXT PRIMARY KEY,   -- that of its token
    refresh  BLOB NOT NULL,      -- SHA-256 of the refresh token
    used     BLOB NOT NULL,      -- that of the one before, so that who uses it once more is noticed; empty: none
    expires  REAL NOT NULL       -- of the refresh token; seconds since the epoch, UTC
) STRICT, WITHOUT ROWID;
