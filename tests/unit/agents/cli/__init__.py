"""Tests of agents.cli."""
