"""What a change is: its bytes, its kind, what it adds, and whether it is what it says."""
