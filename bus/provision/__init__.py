"""Makes what the fleet file declares: keys, the server's configuration, streams, contexts for people."""
