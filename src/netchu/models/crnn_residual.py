"""crnn_residual: seed 2's light CRNN for Kalapa, layer by layer.

Seven convolutions with two residual additions, two bidirectional LSTMs and CTC on a 163 px high,
adaptively thresholded line. At full size with 142 classes it has 12,974,670 trainable parameters
(12,966,478 in Keras, whose LSTM has one bias where PyTorch has two).
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
class CrnnResidualConfig(Strict):
    """height: pixels, 163 in the seed. width: factor on all channels and units, 1 in the seed."""

    height: int = 163
    width: float = 1.0
    dropout: float = 0.0


class CrnnResidual(CTCRecogniser):
    """One time step every 9 pixels, after two poolings by 3."""

    system: ClassVar[str] = "crnn_residual"
    config_class: ClassVar[type[CrnnResidualConfig]] = CrnnResidualConfig
    config: CrnnResidualConfig

    def __init__(self, config: CrnnResidualConfig, alphabet: str) -> None:
        super().__init__(config, alphabet)
        c64, c128, c256, c512 = (round(n * config.width) for n in (64, 128, 256, 512))
        plan = [(1, c64), (c64, c64), (c64, c128), (c128, c128), (c128, c256), (c256, c256),
                (c256, c512)]  # fmt: skip
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in plan)
        # Keras' defaults (its momentum 0.99 is 0.01 here), but for the momentum: short runs of the
        # small profiles would end before the running statistics have settled.
        self.norms = nn.ModuleList(nn.BatchNorm2d(o, eps=1e-3) for _, o in plan[2:])
        self.lstm = nn.LSTM(
            c512, c512, num_layers=2, batch_first=True, bidirectional=True, dropout=config.dropout
        )
        self.head = nn.Linear(2 * c512, self.codec.size)

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing("adaptive", self.config.height)

    def time_steps(self, width: int) -> int:
        return (width // 3 - 4) // 3 + 1

    def features(self, images_BCHW: Tensor) -> Tensor:
        """The convolutional part: (B, C, 1, T)."""
        conv, norm = self.convolutions, self.norms
        x = images_BCHW.contiguous(memory_format=torch.channels_last)
        x = F.relu(F.max_pool2d(conv[0](x), 3, 3))
        # The seed prints 54×1000 before this pooling and 17×333 behind: window 4, stride 3.
        x = F.relu(F.max_pool2d(conv[1](x), 4, 3))
        x = F.relu(norm[0](conv[2](x)))
        x = F.relu(norm[1](conv[3](x)) + x)
        x = F.relu(norm[2](conv[4](x)))
        x = F.relu(norm[3](conv[5](x)) + x)
        x = F.relu(F.max_pool2d(norm[4](conv[6](x)), (3, 1), (3, 1)))
        return F.adaptive_max_pool2d(x, (1, x.shape[3]))

    def forward(self, images_BCHW: Tensor, widths_B: Tensor) -> Tensor:
        columns_BTC = self.features(images_BCHW).squeeze(2).transpose(1, 2)
        hidden_BTC, _ = self.lstm(columns_BTC)
        logits_BTV: Tensor = self.head(hidden_BTC)
        return logits_BTV
