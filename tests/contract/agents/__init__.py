"""Agents: their runtime, models and command line."""
