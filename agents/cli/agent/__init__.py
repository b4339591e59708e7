"""`agentbus agent …`: what an author does with one agent."""
