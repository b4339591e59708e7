"""Approvals and the applier."""
