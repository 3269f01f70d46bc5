"""The synchronizer: one way, from the storage to the index."""
