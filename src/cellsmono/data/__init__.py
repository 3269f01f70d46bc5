"""What stands between gateways and datasources."""
