"""The applier: puts an approved change to work, watches it, and takes it back when it is not healthy."""
