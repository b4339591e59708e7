"""Looking at a fleet while it runs: its processes, their logs, what they do now."""
