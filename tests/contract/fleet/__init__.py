"""The fleet changes: members, their keys, and what the server has of it."""
