"""Types on a wire and in files."""
