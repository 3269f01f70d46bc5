-- What the owner set for a bucket through S3. It goes with the bucket.

CREATE TABLE setting_bucket (
    name      TEXT PRIMARY KEY,
    settings  TEXT NOT NULL        -- BucketSettings as JSON
) STRICT, WITHOUT ROWID;
