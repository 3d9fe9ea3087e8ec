"""Export of line tables for baselines: numbered PNG images."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from netchu.imaging.images import decode, encode


def write_images(lines: pd.DataFrame, folder: Path) -> None:
    """Write each line's image as a numbered PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, encoded) in enumerate(zip(lines["id"], lines["image"], strict=True)):
        (folder / f"{number:06d}.png").write_bytes(encode(decode(encoded, f"line {name}")))
