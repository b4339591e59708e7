"""Faults under load: what was acknowledged is done, its end is stored once, and every call returns."""
