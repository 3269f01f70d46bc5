-- Default datasources that are settled: made, or not to be made. None is made a second time, so that one that was removed
-- does not come back.

CREATE TABLE setting_default (
    name  TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- An installation that was there before gets none: buckets that nobody asked for would be a surprise.
INSERT INTO setting_default (name)
SELECT column1 FROM (VALUES ('pydiods1'), ('personal'), ('cellsdata'), ('thumbnails'), ('versions'))
WHERE (SELECT origin FROM temp.migration) > 0;
