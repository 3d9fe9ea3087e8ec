"""Stage language: estimate the language model; models/<profile>/language."""

from __future__ import annotations

from netchu.core.params import Params
from netchu.core.stage_script import run_stage
from netchu.release.corpora import build_language_model


def estimate(params: Params) -> None:
    """Estimate the language model of the profile."""
    build_language_model(params, params.models / "language")


if __name__ == "__main__":
    run_stage(__doc__, estimate)
