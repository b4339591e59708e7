"""The worker, its way of answering, and the command line."""
