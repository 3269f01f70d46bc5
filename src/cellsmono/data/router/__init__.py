"""The road from a user-visible path to a datasource."""
