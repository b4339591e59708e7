"""Real surroundings for tests."""
