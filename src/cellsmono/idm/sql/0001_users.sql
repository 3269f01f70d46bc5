-- Users and groups: one tree. A group's name is unique among its siblings, a login in the whole tree, whatever its case.

CREATE TABLE user_node (
    uuid        TEXT PRIMARY KEY,
    parent      TEXT NOT NULL,     -- UUID of the group it is in; empty for the root
    is_group    INTEGER NOT NULL,
    name        TEXT NOT NULL,     -- login, or name of the group; empty for the root
    name_key    TEXT NOT NULL,     -- what is compared
    profile     TEXT NOT NULL,     -- empty for groups
    attributes  TEXT NOT NULL,     -- JSON object
    locks       TEXT NOT NULL,     -- JSON array
    password    TEXT NOT NULL,     -- argon2 in PHC form, with its parameters; empty: none
    created     REAL NOT NULL,     -- seconds since the epoch, UTC
    last_login  REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX user_node_login ON user_node (name_key) WHERE is_group = 0;
CREATE UNIQUE INDEX user_node_group ON user_node (parent, name_key) WHERE is_group = 1;

INSERT INTO user_node VALUES ('ROOT_GROUP', '', 1, '', '', '', '{}', '[]', '', 0, 0);
