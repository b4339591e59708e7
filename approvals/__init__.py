"""Approved self-modification: policy, votes, the reviewer's terminal, and the applier that runs what was approved."""
