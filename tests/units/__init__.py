"""`make units`: the units as systemd sees them, from files, and at work under a real systemd."""
