"""Tests that share one running fleet: each leaves it as it found it, and counts from what was there before."""
