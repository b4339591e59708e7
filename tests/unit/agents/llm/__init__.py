"""Tests of agents.llm."""
