"""The agent's workspace: the one folder in which its model may read and write, and the tools for that."""
