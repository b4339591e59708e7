"""Who is there: signed cards, heartbeats, and each agent as a NATS micro service."""
