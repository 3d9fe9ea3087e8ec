"""netchu_small: the project's own light network.

Residual convolutions, convolutions along the line, and CTC. The maximum over each column and the
second head come from Retsinas et al. 2022 ("Best practices for a handwritten text recognition
system"). Their recurrent layers are replaced by blocks like those of Liu et al. 2022 ("A ConvNet
for the 2020s"), which train three times as fast on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netchu.core.params import Strict
from netchu.imaging.preparation import Preprocessing
from netchu.models.ctc import CTCRecogniser


@dataclass(frozen=True)
class NetchuSmallConfig(Strict):
    """Config."""

    height: int = 48
    """Height of prepared lines in pixels."""

    channels: tuple[int, int, int, int] = (32, 64, 128, 192)
    """Channels of the stem and of the three residual blocks."""

    mixers: int = 6
    """Number of blocks along the line."""

    kernel: int = 9
    """Time steps in the kernel of such a block, odd."""

    dropout: float = 0.1
    """Dropout in the blocks along the line."""

    shortcut: float = 0.1
    """Weight of the second CTC head (see `CTCRecogniser`)."""

    weights: str = ""
    """Model folder whose weights it starts from; '' for random ones. Where that network has fewer
    blocks along the line, the further ones change nothing before they are trained."""


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions, the first of them strided, and a skip connection."""

    def __init__(self, inner: int, outer: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.first = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outer)
        self.second = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outer)
        self.skip = nn.Sequential(
            nn.AvgPool2d(stride, stride, ceil_mode=True), nn.Conv2d(inner, outer, 1, bias=False)
        )

    def forward(self, features_BCHW: Tensor) -> Tensor:
        hidden = F.relu(self.first_norm(self.first(features_BCHW)))
        hidden = self.second_norm(self.second(hidden))
        return F.relu(hidden + self.skip(features_BCHW))


class Mixer(nn.Module):
    """A ConvNeXt block along the line: depthwise convolution, two linear layers, skip connection.

    Input and output are columns (B, T, C).
    """

    def __init__(self, channels: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.neighbours = nn.Conv1d(
            channels, channels, kernel, padding=kernel // 2, groups=channels
        )
        self.norm = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, 2 * channels)
        self.narrow = nn.Linear(2 * channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, columns_BTC: Tensor) -> Tensor:
        mixed_BTC = self.neighbours(columns_BTC.transpose(1, 2)).transpose(1, 2)
        hidden_BTC = self.narrow(F.gelu(self.widen(self.norm(mixed_BTC))))
        changed_BTC: Tensor = self.dropout(hidden_BTC)
        return columns_BTC + changed_BTC


class NetchuSmall(CTCRecogniser):
    """Residual convolutions and blocks along the line; one time step per 4 pixels."""

    network: ClassVar[str] = "netchu_small"
    config_class: ClassVar[type[NetchuSmallConfig]] = NetchuSmallConfig
    config: NetchuSmallConfig
    any_height: ClassVar[bool] = True

    def __init__(self, config: NetchuSmallConfig, alphabet: str) -> None:
        super().__init__(config, alphabet)
        a, b, c, d = config.channels
        self.backbone = nn.Sequential(
            nn.Conv2d(1, a, 3, 2, 1, bias=False),
            nn.BatchNorm2d(a),
            nn.ReLU(),
            ResidualBlock(a, b, (2, 2)),
            ResidualBlock(b, c, (2, 1)),
            ResidualBlock(c, d, (2, 1)),
        )
        # Training takes a fifth less time than with weights in the usual memory format.
        self.backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mixers = nn.Sequential(
            *(Mixer(d, config.kernel, config.dropout) for _ in range(config.mixers))
        )
        self.norm = nn.LayerNorm(d)
        self.head = nn.Linear(d, self.codec.size)
        self.add_shortcut(d)
        if origin := self.origin():
            self.load_pretrained(origin)

    def origin(self) -> Path | None:
        return Path(self.config.weights) if self.config.weights else None

    def load_pretrained(self, folder: Path) -> None:
        """Copy the weights of a model folder; blocks along the line that it lacks change nothing.

        Raises:
            NetchuError: see `Recogniser.load_pretrained`.
        """
        for mixer in self.mixers:
            nn.init.zeros_(mixer.narrow.weight)
            nn.init.zeros_(mixer.narrow.bias)
        super().load_pretrained(folder)

    @classmethod
    def without_pretrained(cls, config: NetchuSmallConfig) -> NetchuSmallConfig:
        return replace(config, weights="")

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing("grey", self.config.height)

    def time_steps(self, width: int) -> int:
        return width // 4

    def column_features(self, images_BCHW: Tensor) -> Tensor:
        """Return the maximum over the height of each column."""
        images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
        features_BCHW: Tensor = self.backbone(images_BCHW)
        return features_BCHW.amax(2).transpose(1, 2)

    def column_logits(self, columns_BTC: Tensor) -> Tensor:
        logits_BTV: Tensor = self.head(self.norm(self.mixers(columns_BTC)))
        return logits_BTV
