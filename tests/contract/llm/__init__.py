"""Models over real HTTP: providers, streams, failover, the pool."""
