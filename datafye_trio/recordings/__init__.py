"""Market data at rest: tick files and recordings, written and read with bounded memory."""
