"""Health and metrics, without a server."""
