"""PyLaia: its own network as it comes, trained for as long as it is given."""

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

HEIGHT = 128
SPACE = "<space>"

CHECKED = 500
"""Training lines between two validations; when it is stopped it leaves nothing else."""


def commands(lines: Path, model: Path, programs: Path, threads: int) -> list[list[str]]:
    """Write its tables; make a network, then train without an end: who starts it stops it."""
    symbols = write_tables(lines, model)
    train_path = f"--common.train_path={model}"
    return [
        [
            str(programs / "pylaia-htr-create-model"), str(symbols), train_path,
            f"--fixed_input_height={HEIGHT}",
        ],
        [
            str(programs / "pylaia-htr-train-ctc"), str(symbols), f"[{lines}]",
            str(lines / "train.tbl"), str(lines / "val.tbl"), train_path,
            "--data.num_workers=1", "--trainer.max_epochs=100000",
            f"--trainer.val_check_interval={epochs_between_checks(lines, CHECKED)}",
            "--trainer.progress_bar_refresh_rate=0", "--train.early_stopping_patience=100000",
        ],
    ]  # fmt: skip


def write_tables(lines: Path, model: Path) -> Path:
    """Write train.tbl and val.tbl (image, then its letters), and the symbols beside the model."""
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
    # It asks pip what is installed, and its pytorch-lightning asks setuptools for pkg_resources.
    environment=Environment("pylaia", "3.10", ("pylaia==1.1.2", "pip", "setuptools<81")),
    commands=commands,
    height=HEIGHT,
)


def load(argument: str) -> Loaded:
    """Load the best checkpoint of the folder `argument`, beside which lie its symbols."""
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
        raise SystemExit(
            "PyLaia left no checkpoint in its time; give baselines.pylaia.minutes more"
        )
    model = loader.load_by(checkpoint).eval()
    prepare, decode = ToImageTensor(mode="L", invert=True), CTCGreedyDecoder()

    def read(image: bytes) -> tuple[str, Sequence[float]]:
        with torch.no_grad():
            found = decode(model(prepare(Image.open(io.BytesIO(image)))[None]))
        letters = [symbols[number] for number in found["hyp"][0]]
        return "".join(" " if c == SPACE else c for c in letters), found["prob-htr-char"][0]

    return Loaded(read, f"PyLaia {version('pylaia')}", *weigh(model))


if __name__ == "__main__":
    serve(load)
