"""Behaviour against the real server."""
