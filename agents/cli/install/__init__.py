"""`agentbus install` and `agentbus uninstall`."""
