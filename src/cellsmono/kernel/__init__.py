"""What every room stands on: errors, clock, log, bus, workers, services."""
