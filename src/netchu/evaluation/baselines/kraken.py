"""kraken (https://kraken.re), trained by `ketos train` with its defaults for a given time."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from netchu.evaluation.baselines.base import (
    Baseline,
    Environment,
    LoadedBaseline,
    run_worker,
    size_and_parameters,
    validation_interval,
)

VALIDATE_EVERY = 2000
"""Training lines between two validations; kraken also saves a checkpoint when it is stopped."""


def training_commands(lines: Path, model: Path, bin_folder: Path, threads: int) -> list[list[str]]:
    """Return the command that trains until it is stopped."""
    return [
        [
            str(bin_folder / "ketos"), "--threads", str(threads), "--workers", "1",
            "--device", "cpu", "train",
            "--format-type", "path", "--normalization", "NFC",
            "--training-data", str(lines / "train.txt"),
            "--evaluation-data", str(lines / "val.txt"),
            "--quit", "fixed", "--epochs", "100000",
            "--freq", str(validation_interval(lines, VALIDATE_EVERY)),
            "--output", str(model),
        ]
    ]  # fmt: skip


BASELINE = Baseline(
    "netchu.evaluation.baselines.kraken",
    environment=Environment("kraken", "3.11", ("kraken==7.1",)),
    training_commands=training_commands,
)


def best_checkpoint(model: Path) -> Path:
    """Return the checkpoint of the best validation, which is in its name, or the last one."""
    validated = {float(p.stem.rsplit("-", 1)[1]): p for p in model.glob("checkpoint_*-*.ckpt")}
    if validated:
        return validated[max(validated)]
    last = model / "checkpoint_abort.ckpt"
    if not last.is_file():
        raise SystemExit("kraken saved no checkpoint in its time; raise baselines.kraken.minutes")
    return last


def load(argument: str) -> LoadedBaseline:
    """Load the best checkpoint of the folder `argument`."""
    from importlib.metadata import version

    import torch
    from kraken.configs import RecognitionInferenceConfig
    from kraken.containers import BBoxLine, Segmentation
    from kraken.models.convert import convert_models
    from kraken.tasks import RecognitionTaskModel
    from PIL import Image

    torch.set_num_threads(1)
    checkpoint = best_checkpoint(Path(argument))
    weights = convert_models([checkpoint], checkpoint.with_name("best.safetensors"))
    model = RecognitionTaskModel.load_model(weights)
    settings = RecognitionInferenceConfig(accelerator="cpu", device=1, num_line_workers=0)

    def read(image: bytes) -> tuple[str, Sequence[float]]:
        picture = Image.open(io.BytesIO(image))
        line = BBoxLine(id="line", bbox=(0, 0, picture.width, picture.height))
        whole = Segmentation("bbox", "line", "horizontal-lr", False, lines=[line])
        found = next(iter(model.predict(picture, whole, settings)))
        return found.prediction, found.confidences

    return LoadedBaseline(read, f"kraken {version('kraken')}", *size_and_parameters(model.net))


if __name__ == "__main__":
    run_worker(load)
