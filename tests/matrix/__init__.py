"""The permission matrix: who may do what, declared by role, and tried cell by cell on the real server."""
