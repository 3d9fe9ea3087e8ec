"""Training: a stage's phases under Lightning, resumable, on this machine or in pieces elsewhere."""
