"""crnn_vgg: seed 1's VGG16 + bidirectional LSTM + CTC (Shi et al. 2015, arXiv 1507.05717)."""

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
    """weights: `imagenet` starts from timm's VGG16, `none` from chance.

    depth: 16 as in the seed, or 11. width: factor on the channels; only 1 has ImageNet weights.
    batch_norm: with batch normalisation, without which the plain stack hardly starts from chance.
    """

    height: int = 64
    depth: Literal[11, 16] = 16
    width: float = 1.0
    batch_norm: bool = False
    weights: Literal["imagenet", "none"] = "imagenet"
    hidden: int = 256
    layers: int = 2
    dropout: float = 0.2
    shortcut: float = 0.0


class CrnnVgg(CTCRecogniser):
    """One time step every 4 pixels: VGG's last three poolings halve the height alone."""

    network: ClassVar[str] = "crnn_vgg"
    config_class: ClassVar[type[CrnnVggConfig]] = CrnnVggConfig
    config: CrnnVggConfig

    def __init__(self, config: CrnnVggConfig, alphabet: str) -> None:
        super().__init__(config, alphabet)
        if config.height % 32:
            raise NetchuError(
                f"crnn_vgg: height {config.height} is no multiple of 32; use 32 or 64"
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
    """VGG's convolutions on one grey channel, and the number of channels they give."""
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
