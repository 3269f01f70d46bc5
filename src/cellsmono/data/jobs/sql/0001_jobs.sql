-- Jobs with the nodes that they are about, and where the nodes in recycle bins came from.

CREATE TABLE job_job (
    id           TEXT PRIMARY KEY,     -- ascending with the time
    job          TEXT NOT NULL,        -- Job as JSON
    state        TEXT NOT NULL,
    user         TEXT NOT NULL,        -- UUID
    plan         TEXT NOT NULL         -- JobPlan as JSON
) STRICT, WITHOUT ROWID;

CREATE INDEX job_job_state ON job_job (state);

CREATE TABLE job_item (
    job       TEXT NOT NULL,
    position  INTEGER NOT NULL,
    source    TEXT NOT NULL,           -- the path that the user sees
    target    TEXT NOT NULL,           -- empty until it is chosen
    uuid      TEXT NOT NULL,
    cursor    TEXT NOT NULL,           -- the last path below the source that is done
    is_done   INTEGER NOT NULL,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE recycle_origin (
    uuid    TEXT PRIMARY KEY,
    origin  TEXT NOT NULL,             -- tree path where the node was
    bin     TEXT NOT NULL,             -- tree path of the bin
    login   TEXT NOT NULL,             -- who deleted it
    size    INTEGER NOT NULL,          -- bytes, all that it held included
    at      REAL NOT NULL              -- seconds since the epoch, UTC
) STRICT, WITHOUT ROWID;

CREATE INDEX recycle_origin_at ON recycle_origin (at);
