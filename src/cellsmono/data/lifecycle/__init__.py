"""The service that lets objects and uploads go when a bucket's rules say so."""
