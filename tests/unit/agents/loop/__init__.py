"""Tests of agents.loop."""
