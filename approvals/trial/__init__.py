"""Where a change is tried before anybody votes: in a sandbox, without network, keys or time."""
