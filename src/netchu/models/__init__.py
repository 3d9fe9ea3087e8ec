"""The networks, one file each. Only the one that is asked for is imported.

So a stage that trains one network depends on no other network's file.
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
"""Networks: name of the module -> name of its class."""


def network_class(name: str) -> type[Recogniser]:
    """Return the class of a network.

    Raises:
        NetchuError: there is no such network; the message lists them.
    """
    if name not in NETWORKS:
        raise NetchuError(f"unknown network {name!r}; known: {', '.join(NETWORKS)}")
    found: type[Recogniser] = getattr(import_module(f"netchu.models.{name}"), NETWORKS[name])
    return found
