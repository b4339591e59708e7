"""Servers that a model may speak to: those that the agent's file lists, and never one inside the network by a trick."""
