-- The block hash of content above one block of 10 MiB (below that it follows from the MD5), NULL while unknown. A leaf
-- that lacks one of the two hashes stands in a small index of its own, with all that is needed to count them.

ALTER TABLE index_node ADD COLUMN block_hash BLOB;

DROP INDEX index_node_unhashed;

CREATE INDEX index_node_unhashed ON index_node (parent, name, folder, size, hash, block_hash)
    WHERE folder IS NULL AND (hash IS NULL OR (size > 10485760 AND block_hash IS NULL));
