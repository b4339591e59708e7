"""Commands about the fleet as a whole: who belongs to it."""
