"""Training: the phases of a stage under Lightning, resumable, here or on another machine."""
