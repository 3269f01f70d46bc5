"""Migrating a datasource into another format or to another storage."""
