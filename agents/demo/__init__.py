"""Every journey of the product without a person: `agentbus demo`."""
