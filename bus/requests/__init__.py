"""Requests and streams over NATS, both sides: asked by a caller, answered by a responder, within limits."""
