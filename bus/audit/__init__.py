"""The audit plane: emit, spool, publish, read, verify and show events that nobody can quietly change."""
