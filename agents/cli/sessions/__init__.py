"""`agentbus sessions …`: what agents remember of who asks."""
