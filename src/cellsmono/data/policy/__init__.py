"""Bucket policies: documents in AWS's policy language, read, judged and evaluated. Pure: no I/O."""
