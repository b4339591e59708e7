"""The directory: which agents there are, who is online, who can do what."""
