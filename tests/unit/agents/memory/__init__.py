"""Tests of agents.memory."""
