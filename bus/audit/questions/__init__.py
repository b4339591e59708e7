"""What auditors ask of the trail: a conversation's tree, a change's story, what is in force, what has no end."""
