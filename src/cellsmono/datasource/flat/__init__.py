"""Flat datasources: files are blobs named by UUID, the tree is in the index alone."""
