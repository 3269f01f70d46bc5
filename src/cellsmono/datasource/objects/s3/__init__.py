"""The object service over buckets of any S3-compatible server. The only package that knows aiobotocore."""
