"""Tests of pipelines without a bus."""
