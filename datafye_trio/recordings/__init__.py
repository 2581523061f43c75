"""Market data at rest: tick files and recordings, read row by row with bounded memory."""
