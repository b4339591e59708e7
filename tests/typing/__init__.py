"""Files for the type checker, never run."""
