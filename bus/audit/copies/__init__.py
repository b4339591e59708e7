"""Copies of the trail: lines that anybody can read, and the server's own snapshot to restore from."""
