"""Stage language: estimate the language model; models/<profile>/language."""

from __future__ import annotations

import argparse

from netchu.core.errors import one_line_errors
from netchu.core.params import load_params
from netchu.release.corpora import build_language_model


def main() -> None:
    """Parse no arguments and build the language model."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with one_line_errors():
        params = load_params()
        build_language_model(params, params.models / "language")


if __name__ == "__main__":
    main()
