"""Whole processes, and the units that run them."""
