"""Object services: bytes by bucket and key. They know no tree, no users and no SQL."""
