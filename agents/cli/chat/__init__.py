"""`agentbus chat`: a conversation with an agent."""
