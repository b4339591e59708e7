"""Pipelines: steps that are left as durable tasks, so that a run that was killed goes on. Import from its modules."""
