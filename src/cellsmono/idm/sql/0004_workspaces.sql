-- Workspaces, and the templates that find a folder for each user; those that every installation begins with.

CREATE TABLE workspace_workspace (
    uuid         TEXT PRIMARY KEY,
    slug         TEXT NOT NULL UNIQUE,
    label        TEXT NOT NULL,
    description  TEXT NOT NULL,
    scope        TEXT NOT NULL,
    roots        TEXT NOT NULL,    -- JSON array of WorkspaceRoot
    created      REAL NOT NULL     -- seconds since the epoch, UTC
) STRICT, WITHOUT ROWID;

CREATE TABLE workspace_template (
    name     TEXT PRIMARY KEY,
    pattern  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO workspace_template VALUES ('my-files', 'personal/{user}');

INSERT INTO workspace_workspace VALUES
    ('WORKSPACE_PERSONAL', 'personal-files', 'Personal Files', 'Everybody has files of their own here.', 'admin',
     '[{"node":"TEMPLATE:my-files","name":"my-files"}]', 0),
    ('WORKSPACE_COMMON', 'common-files', 'Common Files', 'Everybody shares the files here.', 'admin',
     '[{"node":"DATASOURCE:pydiods1","name":"pydiods1"}]', 0);

INSERT INTO acl_acl (role, node, workspace, action, value) VALUES
    ('ROOT_GROUP', 'TEMPLATE:my-files', 'WORKSPACE_PERSONAL', 'read', '1'),
    ('ROOT_GROUP', 'TEMPLATE:my-files', 'WORKSPACE_PERSONAL', 'write', '1'),
    ('ROOT_GROUP', 'TEMPLATE:my-files', 'WORKSPACE_PERSONAL', 'recycle_root', '1'),
    ('ROOT_GROUP', 'DATASOURCE:pydiods1', 'WORKSPACE_COMMON', 'read', '1'),
    ('ROOT_GROUP', 'DATASOURCE:pydiods1', 'WORKSPACE_COMMON', 'write', '1'),
    ('ROOT_GROUP', 'DATASOURCE:pydiods1', 'WORKSPACE_COMMON', 'recycle_root', '1');
