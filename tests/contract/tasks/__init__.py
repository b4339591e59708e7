"""Durable tasks: left, begun, steered, put off, tried again, kept, given up."""
