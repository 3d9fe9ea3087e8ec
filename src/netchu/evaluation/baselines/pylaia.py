"""PyLaia (https://github.com/jpuigcerver/PyLaia), its default network trained for a given time."""

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

HEIGHT = 128
SPACE = "<space>"

VALIDATE_EVERY = 500
"""Training lines between two validations; PyLaia saves no checkpoint when it is stopped."""


def training_commands(lines: Path, model: Path, bin_folder: Path, threads: int) -> list[list[str]]:
    """Write its tables; return the commands that create a network and train until stopped."""
    symbols = write_tables(lines, model)
    train_path = f"--common.train_path={model}"
    return [
        [
            str(bin_folder / "pylaia-htr-create-model"), str(symbols), train_path,
            f"--fixed_input_height={HEIGHT}",
        ],
        [
            str(bin_folder / "pylaia-htr-train-ctc"), str(symbols), f"[{lines}]",
            str(lines / "train.tbl"), str(lines / "val.tbl"), train_path,
            "--data.num_workers=1", "--trainer.max_epochs=100000",
            f"--trainer.val_check_interval={validation_interval(lines, VALIDATE_EVERY)}",
            "--trainer.progress_bar_refresh_rate=0", "--train.early_stopping_patience=100000",
        ],
    ]  # fmt: skip


def write_tables(lines: Path, model: Path) -> Path:
    """Write train.tbl and val.tbl (image, then its characters), and the symbols into `model`."""
    letters: set[str] = set()
    for split in ("train", "val"):
        rows = []
        for name in (lines / f"{split}.txt").read_text(encoding="utf-8").split("\n")[:-1]:
            image = Path(name)
            text = image.with_suffix(".gt.txt").read_text(encoding="utf-8")
            letters |= set(text)
            rows.append(" ".join([image.stem, *(SPACE if c == " " else c for c in text)]))
        (lines / f"{split}.tbl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    names = ["<ctc>", SPACE, *sorted(letters - {" "})]
    table = "".join(f"{name} {number}\n" for number, name in enumerate(names))
    symbols = model / "symbols.txt"
    symbols.write_text(table, encoding="utf-8")
    return symbols


BASELINE = Baseline(
    "netchu.evaluation.baselines.pylaia",
    # PyLaia runs pip, and its pytorch-lightning imports pkg_resources of setuptools.
    environment=Environment("pylaia", "3.10", ("pylaia==1.1.2", "pip", "setuptools<81")),
    training_commands=training_commands,
    height=HEIGHT,
)


def load(argument: str) -> LoadedBaseline:
    """Load the best checkpoint and the symbols in the folder `argument`."""
    from importlib.metadata import version

    import torch
    from laia.common.loader import ModelLoader
    from laia.data.transforms.vision import ToImageTensor
    from laia.decoders import CTCGreedyDecoder
    from laia.utils import SymbolsTable
    from PIL import Image

    torch.set_num_threads(1)
    symbols = SymbolsTable(Path(argument) / "symbols.txt")
    loader = ModelLoader(argument, filename="model", device="cpu")
    checkpoint = loader.find_best(str(Path(argument) / "experiment"), "va_cer")
    if checkpoint is None:
        raise SystemExit("PyLaia saved no checkpoint in its time; raise baselines.pylaia.minutes")
    model = loader.load_by(checkpoint).eval()
    prepare, decode = ToImageTensor(mode="L", invert=True), CTCGreedyDecoder()

    def read(image: bytes) -> tuple[str, Sequence[float]]:
        with torch.no_grad():
            found = decode(model(prepare(Image.open(io.BytesIO(image)))[None]))
        letters = [symbols[number] for number in found["hyp"][0]]
        return "".join(" " if c == SPACE else c for c in letters), found["prob-htr-char"][0]

    return LoadedBaseline(read, f"PyLaia {version('pylaia')}", *size_and_parameters(model))


if __name__ == "__main__":
    run_worker(load)
