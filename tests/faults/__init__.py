"""Faults planted at named steps of real processes; after each the whole trail is verified."""
