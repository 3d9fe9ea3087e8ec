"""VietOCR's two published networks with random weights, to measure their speed only."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from netchu.core.text import ALPHABET
from netchu.evaluation.baselines.base import (
    Baseline,
    Environment,
    LoadedBaseline,
    run_worker,
    size_and_parameters,
)

ENVIRONMENT = Environment(
    "vietocr", "3.11", ("vietocr==0.3.13", "torch==2.13.0", "torchvision==0.28.0")
)
UNUSABLE_REASON = (
    "its weights lie behind a dead link; speed of the same network with random weights"
)

TRANSFORMER = Baseline(
    "netchu.evaluation.baselines.vietocr",
    "vgg_transformer",
    ENVIRONMENT,
    unusable_reason=UNUSABLE_REASON,
)
SEQ2SEQ = Baseline(
    "netchu.evaluation.baselines.vietocr",
    "vgg_seq2seq",
    ENVIRONMENT,
    unusable_reason=UNUSABLE_REASON,
)

HEIGHT, MIN_WIDTH, MAX_WIDTH = 32, 32, 512
"""Pixels; VietOCR scales wider lines down to the maximum."""

CHARACTERS_PER_HEIGHT = 2.5
"""Characters that are decoded per line height of width; random weights never emit the end token."""

_POOLS = [[2, 2], [2, 2], [2, 1], [2, 1], [1, 1]]
_DECODERS: dict[str, dict[str, Any]] = {
    "vgg_transformer": {
        "d_model": 256, "nhead": 8, "num_encoder_layers": 6, "num_decoder_layers": 6,
        "dim_feedforward": 2048, "max_seq_length": 1024, "pos_dropout": 0.1, "trans_dropout": 0.1,
    },
    "vgg_seq2seq": {
        "encoder_hidden": 256, "decoder_hidden": 256, "img_channel": 256, "decoder_embedded": 256,
        "dropout": 0.1,
    },
}  # fmt: skip


def load(argument: str) -> LoadedBaseline:
    """Build the configuration called `argument`."""
    from importlib.metadata import version

    import torch
    from PIL import Image
    from vietocr.tool.translate import build_model, process_input, translate

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model, _ = build_model(
        {
            "vocab": ALPHABET,
            "device": "cpu",
            "backbone": "vgg19_bn",
            "cnn": {"pretrained": False, "ss": _POOLS, "ks": _POOLS, "hidden": 256},
            "seq_modeling": argument.removeprefix("vgg_"),
            "transformer": _DECODERS[argument],
        }
    )

    def read(image: bytes) -> tuple[str, Sequence[float]]:
        picture = Image.open(io.BytesIO(image))
        characters = max(1, round(CHARACTERS_PER_HEIGHT * picture.width / picture.height))
        prepared = process_input(picture, HEIGHT, MIN_WIDTH, MAX_WIDTH)
        translate(prepared, model, max_seq_length=characters, eos_token=-1)
        return "", ()

    return LoadedBaseline(
        read, f"vietocr {version('vietocr')}, {argument}", *size_and_parameters(model)
    )


if __name__ == "__main__":
    run_worker(load)
