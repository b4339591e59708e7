"""Putting the program on a server, another version beside it, back, and away again."""
