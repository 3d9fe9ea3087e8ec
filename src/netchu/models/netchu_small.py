"""netchu_small: our own light recogniser.

Residual convolutions, bidirectional GRUs and CTC, close to Retsinas et al. 2022 ("Best practices
for a handwritten text recognition system") at a quarter of the size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netchu.images import Preprocessing
from netchu.models.ctc import CTCRecogniser
from netchu.params import Strict


@dataclass(frozen=True)
class NetchuSmallConfig(Strict):
    """height: pixels. channels: of stem and blocks. hidden: of each GRU direction."""

    height: int = 48
    channels: tuple[int, int, int, int] = (32, 64, 128, 192)
    hidden: int = 160
    layers: int = 2
    dropout: float = 0.2
    shortcut: float = 0.1


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions and a skip, strided in the first."""

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


class NetchuSmall(CTCRecogniser):
    """One time step every 4 pixels."""

    system: ClassVar[str] = "netchu_small"
    config_class: ClassVar[type[NetchuSmallConfig]] = NetchuSmallConfig
    config: NetchuSmallConfig

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
        self.rnn = nn.GRU(
            d, config.hidden, config.layers, batch_first=True, bidirectional=True,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )  # fmt: skip
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(2 * config.hidden, self.codec.size)
        self.add_shortcut(d)

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing("grey", self.config.height)

    def time_steps(self, width: int) -> int:
        return width // 4

    def columns(self, images_BCHW: Tensor) -> Tensor:
        """The strongest answer over the height."""
        images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
        features_BCHW: Tensor = self.backbone(images_BCHW)
        return features_BCHW.amax(2).transpose(1, 2)

    def read_columns(self, columns_BTC: Tensor) -> Tensor:
        hidden_BTC, _ = self.rnn(self.dropout(columns_BTC))
        logits_BTV: Tensor = self.head(self.dropout(hidden_BTC))
        return logits_BTV
