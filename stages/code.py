"""Stage code: a fingerprint of the code of every other stage; fingerprints/code."""

from __future__ import annotations

import argparse
from pathlib import Path

from netchu.core.errors import one_line_errors
from netchu.core.paths import FINGERPRINTS
from netchu.core.stage_script import stage_lock
from netchu.pipeline.code import write_fingerprints


def main() -> None:
    """Read no flags and write the fingerprints."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with one_line_errors(), stage_lock("code"):
        write_fingerprints(Path("stages"), FINGERPRINTS / "code")


if __name__ == "__main__":
    main()
