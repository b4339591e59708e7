"""Runs a whole fleet on one machine: what systemd does in production, made small for `agentbus up`."""
