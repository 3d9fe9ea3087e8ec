"""Where the pipeline keeps its files; needs nothing to import."""

from __future__ import annotations

from pathlib import Path

DATA, MODELS, REPORTS = Path("data"), Path("models"), Path("reports")
"""Folders of stage outputs, each with one folder per profile; see the properties of `Params`."""

FINGERPRINTS = Path("fingerprints")
"""Folder of hashes of code and data on which the stages depend, committed."""

AUDIT = Path("audit")
"""Folder of lists of suspect labels, ignored by git."""

CHECKPOINTS = Path(".checkpoints")
"""Folder of what a killed stage resumes from. DVC empties a stage's outputs before it runs, so
checkpoints lie elsewhere, by profile."""

SCRATCH = CHECKPOINTS / ".scratch"
"""Folder of files that belong to a running process and end with it. They can be as large as the
data, so they are below the working directory, and not in the folder for temporary files, which may
be in memory."""

CARD = "model.json"
"""File that describes a model, beside its weights."""
