"""Datasources: the triple of objects, index and synchronizer over one folder or bucket."""
