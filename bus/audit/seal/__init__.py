"""Sealing the trail: the sealer's log and checkpoints, the witnesses, and checking a stream against checkpoints."""
