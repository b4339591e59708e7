"""`agentbus audit …`: the auditor's commands."""
