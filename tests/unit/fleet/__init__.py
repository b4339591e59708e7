"""The fleet file and who is in it."""
