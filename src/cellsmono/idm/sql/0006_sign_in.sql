-- What is told about a session, when it ends however often it is refreshed, and all refresh tokens that were used.

CREATE TABLE auth_refresh (
    digest   BLOB PRIMARY KEY,   -- SHA-256 of a refresh token that was used: who comes with it once more ends the session
    session  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX auth_refresh_session ON auth_refresh (session);

INSERT INTO auth_refresh SELECT used, id FROM auth_session WHERE length(used) > 0;

ALTER TABLE auth_session DROP COLUMN used;
ALTER TABLE auth_session ADD COLUMN ends REAL NOT NULL DEFAULT 0;     -- seconds since the epoch, UTC
ALTER TABLE auth_session ADD COLUMN client TEXT NOT NULL DEFAULT 'cells-frontend';
ALTER TABLE auth_session ADD COLUMN scope TEXT NOT NULL DEFAULT 'openid email profile pydio';  -- what the client asked for
ALTER TABLE auth_session ADD COLUMN address TEXT NOT NULL DEFAULT '';

UPDATE auth_session SET ends = expires;
