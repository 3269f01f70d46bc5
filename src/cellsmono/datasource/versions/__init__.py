"""Where structured datasources keep the content of versions, and what becomes of it in time."""
