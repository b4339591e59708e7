"""Placeholder until the journeys are written."""
