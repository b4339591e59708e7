"""Tests: each one's docstring is the rule it proves."""
