"""An agent's envelope for other platforms."""
