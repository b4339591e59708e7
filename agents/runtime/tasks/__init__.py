"""Tasks: begun, kept, put off, continued, listed, told of."""
