"""`agentbus pipeline`."""
