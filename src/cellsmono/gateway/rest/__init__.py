"""REST in the words of Pydio Cells, so that its clients and scripts run against this server: all below ``/a``."""
