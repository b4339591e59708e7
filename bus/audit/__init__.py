"""The audit plane. Who writes begins at `emit`, who reads at `read`; the sub-folders are what stands behind them.

`writing/` from the event to the stream, `verifying/` whether it is what was written, `seal/` and `tlog/` signed
checkpoints and proofs, `questions/` what auditors ask, `formats/` and `copies/` how the trail leaves.
"""
