"""Durable tasks: left by callers, worked off by agents, their state and updates kept for those who ask."""
