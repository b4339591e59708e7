"""Agents that change themselves, well and badly: what is bad must be gone again, what is good must be live."""
