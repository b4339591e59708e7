"""`agentbus backup` and `agentbus restore`: the whole home of a fleet."""
