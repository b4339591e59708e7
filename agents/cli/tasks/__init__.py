"""`agentbus tasks …`: an operator's tasks."""
