-- Groups of policies that somebody made or changed; those that come with the program are no rows.

CREATE TABLE policy_group (
    uuid     TEXT PRIMARY KEY,
    body     TEXT NOT NULL   -- the group as JSON; null for a default one that was deleted
) STRICT, WITHOUT ROWID;
