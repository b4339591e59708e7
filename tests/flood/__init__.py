"""Failed logins in a flood, and what they cost those who work meanwhile."""
