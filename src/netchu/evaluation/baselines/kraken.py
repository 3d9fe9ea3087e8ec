"""kraken: trained by `ketos train` as it comes, for as long as it is given."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from netchu.evaluation.baselines.base import (
    Baseline,
    Environment,
    Loaded,
    epochs_between_checks,
    serve,
    weigh,
)

CHECKED = 2000
"""Training lines between two validations; when it is stopped it leaves a checkpoint too."""


def commands(lines: Path, model: Path, programs: Path, threads: int) -> list[list[str]]:
    """Train without an end: who starts it stops it."""
    return [
        [
            str(programs / "ketos"), "--threads", str(threads), "--workers", "1",
            "--device", "cpu", "train",
            "--format-type", "path", "--normalization", "NFC",
            "--training-data", str(lines / "train.txt"),
            "--evaluation-data", str(lines / "val.txt"),
            "--quit", "fixed", "--epochs", "100000",
            "--freq", str(epochs_between_checks(lines, CHECKED)),
            "--output", str(model),
        ]
    ]  # fmt: skip


BASELINE = Baseline(
    "netchu.evaluation.baselines.kraken", environment=Environment("kraken", "3.11", ("kraken==7.1",)),
    commands=commands,
)  # fmt: skip


def best(model: Path) -> Path:
    """The checkpoint that validated best (its name tells), or the one left when it was stopped."""
    checked = {float(p.stem.rsplit("-", 1)[1]): p for p in model.glob("checkpoint_*-*.ckpt")}
    if checked:
        return checked[max(checked)]
    left = model / "checkpoint_abort.ckpt"
    if not left.is_file():
        raise SystemExit(
            "kraken left no checkpoint in its time; give baselines.kraken.minutes more"
        )
    return left


def load(argument: str) -> Loaded:
    """Load the best checkpoint of the folder `argument`."""
    from importlib.metadata import version

    import torch
    from kraken.configs import RecognitionInferenceConfig
    from kraken.containers import BBoxLine, Segmentation
    from kraken.models.convert import convert_models
    from kraken.tasks import RecognitionTaskModel
    from PIL import Image

    torch.set_num_threads(1)
    checkpoint = best(Path(argument))
    weights = convert_models([checkpoint], checkpoint.with_name("best.safetensors"))
    model = RecognitionTaskModel.load_model(weights)
    settings = RecognitionInferenceConfig(accelerator="cpu", device=1, num_line_workers=0)

    def read(image: bytes) -> tuple[str, Sequence[float]]:
        picture = Image.open(io.BytesIO(image))
        line = BBoxLine(id="line", bbox=(0, 0, picture.width, picture.height))
        whole = Segmentation("bbox", "line", "horizontal-lr", False, lines=[line])
        found = next(iter(model.predict(picture, whole, settings)))
        return found.prediction, found.confidences

    return Loaded(read, f"kraken {version('kraken')}", *weigh(model.net))


if __name__ == "__main__":
    serve(load)
