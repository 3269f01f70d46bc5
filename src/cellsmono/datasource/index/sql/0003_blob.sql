-- Which blob holds a leaf's content, where blobs are named by UUID: NULL is the first one, whose name is the UUID alone.

ALTER TABLE index_node ADD COLUMN blob INTEGER;
