"""The command line: `datafye-trio serve` and `datafye-trio watch`."""
