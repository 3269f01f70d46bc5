"""The service that keeps, restores and prunes versions of keys."""
