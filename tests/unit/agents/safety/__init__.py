"""What reaches a model, and as what."""
