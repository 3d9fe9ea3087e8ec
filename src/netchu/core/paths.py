"""Names of files and folders that modules of different rooms know; needs nothing to import."""

from __future__ import annotations

from pathlib import Path

CARD = "model.json"
"""What a model is and how it came to be, beside its weights."""

CHECKPOINTS = Path(".checkpoints")
"""What a killed stage goes on from. DVC empties a stage's outputs before it runs, so they lie
elsewhere, by profile."""
