"""VietOCR's two published configurations, for their speed: random weights in the same networks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from netchu.core.text import ALPHABET
from netchu.evaluation.baselines.base import Baseline, Environment, Loaded, serve, weigh

ENVIRONMENT = Environment(
    "vietocr", "3.11", ("vietocr==0.3.13", "torch==2.13.0", "torchvision==0.28.0")
)
UNREAD = "its weights lie behind a dead link; speed of the same network with random weights"

TRANSFORMER = Baseline(
    "netchu.evaluation.baselines.vietocr", "vgg_transformer", ENVIRONMENT, unread=UNREAD
)
SEQ2SEQ = Baseline("netchu.evaluation.baselines.vietocr", "vgg_seq2seq", ENVIRONMENT, unread=UNREAD)

HEIGHT, NARROWEST, WIDEST = 32, 32, 512
"""Pixels; VietOCR squeezes what is wider."""

LETTERS = 2.5
"""Letters on a piece of line as wide as it is high, for random weights never say that it ends."""

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


def load(argument: str) -> Loaded:
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
        letters = max(1, round(LETTERS * picture.width / picture.height))
        prepared = process_input(picture, HEIGHT, NARROWEST, WIDEST)
        translate(prepared, model, max_seq_length=letters, eos_token=-1)
        return "", ()

    return Loaded(read, f"vietocr {version('vietocr')}, {argument}", *weigh(model))


if __name__ == "__main__":
    serve(load)
