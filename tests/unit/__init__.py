"""Rules of single modules."""
