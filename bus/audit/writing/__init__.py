"""What lies between an event that was emitted and the stream: the spool, the publisher, the head of a chain."""
