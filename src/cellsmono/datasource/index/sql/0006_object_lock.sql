-- Object lock: NULL where it is off, else the rule for new versions as JSON. What a version is under stands with its
-- metadata.

ALTER TABLE index_state ADD COLUMN object_lock TEXT;
