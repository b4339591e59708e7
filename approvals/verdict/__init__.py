"""The verdict: policy, votes and the state machine, as a fold over the server's record and nothing else."""
