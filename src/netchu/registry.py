"""The best system of a profile as a version of the registered MLflow model `netchu`.

Run as `python -m netchu.registry`. MLflow loads the model back through `_load_pyfunc`, so no
pickle is written: the version holds the model directory as it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from netchu import tracking
from netchu.checkpoint import load_model, read_card
from netchu.errors import NetchuError, one_line_errors
from netchu.images import decode
from netchu.loader import frame_batches
from netchu.models.base import Recogniser
from netchu.params import Params, load_params
from netchu.readings import Reading

NAME = "netchu"


def register_best(params: Params) -> str:
    """Register the evaluated system of the lowest overall CER; return the new version's number.

    Raises:
        NetchuError: no system of the profile is evaluated, or MLflow cannot be reached.
    """
    system = best_system(params)
    folder = params.model_folder(system, "finetune")
    return tracking.register(params, system, read_card(folder), folder, "netchu.registry", NAME)


def best_system(params: Params) -> str:
    """The evaluated system of the lowest overall CER."""
    cer: dict[str, float] = {}
    for system in params.systems:
        path = Path("models") / params.profile / system / "evaluation" / "metrics.json"
        if path.is_file():
            cer[system] = json.loads(path.read_text(encoding="utf-8"))["overall"]["cer"]
    if not cer:
        raise NetchuError(f"no system of profile {params.profile} is evaluated; run 'dvc repro'")
    return min(cer, key=lambda system: (cer[system], system))


class ImageReader:
    """What MLflow serves: encoded images in, text and confidence out."""

    def __init__(self, recogniser: Recogniser) -> None:
        self.recogniser = recogniser

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Read the column `image` (encoded PNG, JPEG or WebP bytes), one row a line.

        Returns the columns text and confidence, in the order and with the index of `frame`.
        MLflow's server turns base64 into bytes before it calls this; `params` is its own.

        Raises:
            NetchuError: there is no column `image`, or an image does not decode.
        """
        if "image" not in frame:
            raise NetchuError("no column 'image'; give the encoded bytes of each image in it")
        ids = [str(place) for place in range(len(frame))]
        shapes = [
            decode(image, f"image {i}").shape for i, image in zip(ids, frame["image"], strict=True)
        ]
        heights, widths = [s[0] for s in shapes], [s[1] for s in shapes]
        lines = pd.DataFrame({"id": ids, "image": list(frame["image"]), "text": "", "writer": "",
                              "level": "line", "width": widths, "height": heights})  # fmt: skip
        readings: dict[str, Reading] = {}
        for batch in frame_batches(lines, self.recogniser.preprocessing, 16):
            batch_readings = self.recogniser.transcribe(batch.to(self.recogniser.device))
            readings |= dict(zip(batch.ids, batch_readings, strict=True))
        return pd.DataFrame(
            {
                "text": [readings[i].text for i in ids],
                "confidence": [readings[i].confidence for i in ids],
            },
            index=frame.index,
        )


def _load_pyfunc(path: str) -> ImageReader:
    """Called by MLflow with the logged model directory."""
    return ImageReader(load_model(Path(path)))


def main() -> None:
    """Register the best system of the profile in params.yaml."""
    with one_line_errors():
        params = load_params()
        version = register_best(params)
        print(f"{best_system(params)} is version {version} of {NAME}, alias champion")


if __name__ == "__main__":
    main()
