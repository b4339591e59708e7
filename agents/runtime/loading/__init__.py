"""From an agent's folder to what can run."""
