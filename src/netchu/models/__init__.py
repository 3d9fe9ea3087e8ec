"""The systems, one file each, imported only when asked for.

A stage that trains one system depends on that system's file alone, so nothing here imports them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from netchu.core.errors import NetchuError

if TYPE_CHECKING:
    from netchu.models.base import Recogniser

NETWORKS: dict[str, str] = {
    "netchu_small": "NetchuSmall",
    "crnn_vgg": "CrnnVgg",
    "crnn_residual": "CrnnResidual",
    "effnet_seq2seq": "EffnetSeq2Seq",
    "trocr": "TrOCR",
    "deepseek_ocr": "DeepSeekOCR",
}
"""System -> class in the module of the same name."""


def network_class(name: str) -> type[Recogniser]:
    """The class of a system; an unknown name is an error that lists the known ones."""
    if name not in NETWORKS:
        raise NetchuError(f"unknown system {name!r}; there are: {', '.join(NETWORKS)}")
    found: type[Recogniser] = getattr(import_module(f"netchu.models.{name}"), NETWORKS[name])
    return found
