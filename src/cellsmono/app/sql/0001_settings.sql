-- What is configured at run time. Secrets stand here in clear, since signatures can not be checked without them: the
-- file belongs to its owner alone (mode 0600).

CREATE TABLE setting_datasource (
    name    TEXT PRIMARY KEY,
    config  TEXT NOT NULL          -- DatasourceConfig as JSON
) STRICT, WITHOUT ROWID;

CREATE TABLE setting_key (
    access_key   TEXT PRIMARY KEY,
    secret       TEXT NOT NULL,
    description  TEXT NOT NULL,
    created      REAL NOT NULL     -- seconds since the epoch, UTC
) STRICT, WITHOUT ROWID;
