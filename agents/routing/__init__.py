"""Agents and agents: asking several at once, finding the right one, a row of them. Import from its modules."""
