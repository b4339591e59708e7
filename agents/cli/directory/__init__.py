"""`agentbus agents …`: who is there."""
