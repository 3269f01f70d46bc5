"""Hashes of content that lies on the storage already: filling in those that lack, and finding what rotted."""
