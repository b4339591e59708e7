"""One agent as a process: its skills or model behind the A2A operations, its tasks, its start and its end."""
