"""Who belongs to a fleet is changed by an operator: the fleet file, the keys, the server, the processes, in that order."""
