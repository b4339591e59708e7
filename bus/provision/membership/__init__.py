"""Who belongs to a fleet changes, and whose key is what, while its server runs and everybody else goes on."""
