"""`agentbus propose`, `proposals`, `policy` and `break-glass`: an operator's side of approvals."""
