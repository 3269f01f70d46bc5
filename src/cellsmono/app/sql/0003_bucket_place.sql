-- Where the datasource lay for whose bucket something was set: another one of its name must not inherit that.
-- Empty: not known yet; the next start notes it.

ALTER TABLE setting_bucket ADD COLUMN place TEXT NOT NULL DEFAULT '';
