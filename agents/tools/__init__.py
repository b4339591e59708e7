"""What a model may do besides answering. An agent has only the tools that its file names."""
