"""Encryption at rest: blobs whose content is sealed before it reaches any disk."""
