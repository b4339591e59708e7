"""Attacks over the wire, with the keys of an agent, a reviewer or an operator, on a running fleet."""
