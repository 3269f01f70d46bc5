"""Databases: the only room that knows aiosqlite."""
