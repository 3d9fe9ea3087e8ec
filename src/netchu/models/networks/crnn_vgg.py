"""crnn_vgg: VGG16, bidirectional LSTM and CTC, as in source project 1.

The architecture is that of Shi et al. 2015 (arXiv 1507.05717).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast

import timm
import torch
from timm.models.vgg import VGG, cfgs
from torch import Tensor, nn

from netchu.core.errors import NetchuError
from netchu.core.params import Strict
from netchu.imaging.preparation import Preprocessing
from netchu.models.ctc import CTCRecogniser


@dataclass(frozen=True)
class CrnnVggConfig(Strict):
    """Config; the defaults are those of the source project, except for the height."""

    height: int = 64
    """Height of prepared lines in pixels, a multiple of 32."""

    depth: Literal[11, 16] = 16
    """VGG11 or VGG16."""

    width: float = 1.0
    """Factor on the number of channels. ImageNet weights exist for 1 only."""

    batch_norm: bool = False
    """Whether VGG has batch normalisation. Without it, random weights hardly start to learn."""

    weights: Literal["imagenet", "none"] = "imagenet"
    """First weights of VGG: timm's, trained on ImageNet, or random ones."""

    hidden: int = 256
    """Units of the LSTM in each direction."""

    layers: int = 2
    """Number of LSTM layers."""

    dropout: float = 0.2
    """Dropout between LSTM layers."""

    shortcut: float = 0.0
    """Weight of the second CTC head (see `CTCRecogniser`)."""


class CrnnVgg(CTCRecogniser):
    """One time step per 4 pixels: the last three poolings of VGG halve only the height."""

    network: ClassVar[str] = "crnn_vgg"
    config_class: ClassVar[type[CrnnVggConfig]] = CrnnVggConfig
    config: CrnnVggConfig

    def __init__(self, config: CrnnVggConfig, alphabet: str) -> None:
        super().__init__(config, alphabet)
        if config.height % 32:
            raise NetchuError(
                f"crnn_vgg: height {config.height} is not a multiple of 32; use 32 or 64"
            )
        self.backbone, channels = _vgg(config)
        columns = channels * config.height // 32
        self.lstm = nn.LSTM(
            columns, config.hidden, config.layers, batch_first=True, bidirectional=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )  # fmt: skip
        self.head = nn.Linear(2 * config.hidden, self.codec.size)
        self.add_shortcut(columns)

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing("otsu", self.config.height)

    def time_steps(self, width: int) -> int:
        return width // 4

    @classmethod
    def without_pretrained(cls, config: CrnnVggConfig) -> CrnnVggConfig:
        return replace(config, weights="none")

    def column_features(self, images_BCHW: Tensor) -> Tensor:
        images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
        features_BCHW = self.backbone(images_BCHW)
        columns_BTC: Tensor = features_BCHW.flatten(1, 2).transpose(1, 2)
        return columns_BTC

    def column_logits(self, columns_BTC: Tensor) -> Tensor:
        hidden_BTC, _ = self.lstm(columns_BTC)
        logits_BTV: Tensor = self.head(hidden_BTC)
        return logits_BTV


def _vgg(config: CrnnVggConfig) -> tuple[nn.Sequential, int]:
    """Return the convolutions of VGG for one grey channel, and their number of output channels."""
    if config.weights == "imagenet":
        network = _pretrained(f"vgg{config.depth}" + "_bn" * config.batch_norm, config)
    else:
        plan = [
            c if isinstance(c, str) else round(c * config.width) for c in cfgs[f"vgg{config.depth}"]
        ]
        norm = nn.BatchNorm2d if config.batch_norm else None
        network = VGG(plan, in_chans=1, num_classes=0, norm_layer=norm)
    backbone = cast(nn.Sequential, network.features)
    poolings = [place for place, layer in enumerate(backbone) if isinstance(layer, nn.MaxPool2d)]
    for place in poolings[2:]:
        backbone[place] = nn.MaxPool2d((2, 1), (2, 1))
    return backbone, cast(int, network.num_features)


def _pretrained(name: str, config: CrnnVggConfig) -> nn.Module:
    if config.width != 1:
        raise NetchuError("crnn_vgg: ImageNet weights exist for width 1; set weights: none")
    try:
        network: nn.Module = timm.create_model(name, pretrained=True, in_chans=1, num_classes=0)
    except (OSError, RuntimeError) as error:
        raise NetchuError(
            f"crnn_vgg: the weights of {name} cannot be fetched ({type(error).__name__}); "
            "connect to the model hub or set weights: none"
        ) from None
    return network
