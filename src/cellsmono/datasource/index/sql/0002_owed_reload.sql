-- A bulk of several patches gets one event when it ends. Until then (also over a crash) it stands here what the event
-- will be about: the path of the folder below which everything is to be read again; NULL when none is owed.

ALTER TABLE index_state ADD COLUMN owed TEXT;
