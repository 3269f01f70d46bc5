"""All datasources as one tree."""
