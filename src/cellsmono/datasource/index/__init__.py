"""The index of a datasource: the only source of truth about its tree."""
