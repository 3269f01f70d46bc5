"""The composition root: configuration, assembly of the services, start and stop."""
