"""Snapshots of a datasource's index: dumped, kept, checked, loaded."""
