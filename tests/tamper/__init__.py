"""What an attacker does to a trail, and whether the auditor sees it: `make tamper`."""
