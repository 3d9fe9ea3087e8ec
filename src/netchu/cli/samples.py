"""The command `netchu samples`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def samples_command(
    fonts: Annotated[
        Path,
        typer.Argument(
            metavar="FONTS", help="Folder of the fetched fonts, data/PROFILE/raw/fonts."
        ),
    ],
) -> None:
    """Draw the sample lines that netchu serve offers anew.

    Replaces the images in src/netchu/serve/samples. Run it in the repository.

    \b
    Example:
      netchu samples data/laptop/raw/fonts

    \b
    Exit codes:
      0  the samples are written
      2  a font is missing
    """
    from netchu.serve.draw_samples import draw

    draw(fonts)
