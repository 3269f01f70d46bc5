-- Roles that are given, and rows of rights. Groups and users are roles, too, with their own UUIDs, and need no row.

CREATE TABLE role_role (
    uuid          TEXT PRIMARY KEY,
    label         TEXT NOT NULL,
    label_key     TEXT NOT NULL UNIQUE,
    is_team       INTEGER NOT NULL,
    auto_applies  TEXT NOT NULL,   -- JSON array of profiles
    created       REAL NOT NULL    -- seconds since the epoch, UTC
) STRICT, WITHOUT ROWID;

CREATE TABLE role_member (
    user      TEXT NOT NULL,       -- UUID
    position  INTEGER NOT NULL,    -- the order in which roles were given: later ones are stronger
    role      TEXT NOT NULL,       -- UUID
    PRIMARY KEY (user, position)
) STRICT, WITHOUT ROWID;

INSERT INTO role_role VALUES ('ADMINS', 'Administrators', 'administrators', 0, '["admin"]', 0);

CREATE TABLE acl_acl (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    role       TEXT NOT NULL,      -- UUID of a role, group or user
    node       TEXT NOT NULL,      -- UUID, DATASOURCE:NAME or ROOT
    workspace  TEXT NOT NULL,      -- UUID; empty: in all
    action     TEXT NOT NULL,
    value      TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX acl_acl_role ON acl_acl (role, node, workspace, action);
CREATE INDEX acl_acl_node ON acl_acl (node);
