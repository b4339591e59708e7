"""`agentbus deploy`: an agent's envelope for another platform."""
