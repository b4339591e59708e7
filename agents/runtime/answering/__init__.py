"""What answers a message: typed skills, a model with tools, or a router."""
