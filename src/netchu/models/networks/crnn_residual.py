"""crnn_residual: the light CRNN of source project 2 (Kalapa), layer by layer.

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

from netchu.core.params import Strict
from netchu.imaging.preparation import Preprocessing
from netchu.models.ctc import CTCRecogniser


@dataclass(frozen=True)
class CrnnResidualConfig(Strict):
    """Config; the defaults are those of the source project."""

    height: int = 163
    """Height of prepared lines in pixels."""

    width: float = 1.0
    """Factor on the number of channels and units."""

    layers: int = 2
    """Number of LSTM layers."""

    shortcut: float = 0.0
    """Weight of the second CTC head (see `CTCRecogniser`), which the source project lacks."""


class CrnnResidual(CTCRecogniser):
    """Convolutions with residual additions and LSTMs; one time step per 9 pixels."""

    network: ClassVar[str] = "crnn_residual"
    config_class: ClassVar[type[CrnnResidualConfig]] = CrnnResidualConfig
    config: CrnnResidualConfig

    def __init__(self, config: CrnnResidualConfig, alphabet: str) -> None:
        super().__init__(config, alphabet)
        c64, c128, c256, c512 = (round(n * config.width) for n in (64, 128, 256, 512))
        plan = [(1, c64), (c64, c64), (c64, c128), (c128, c128), (c128, c256), (c256, c256),
                (c256, c512)]  # fmt: skip
        self.convolutions = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in plan)
        # Keras' defaults, except for its momentum (0.99 there is 0.01 here): short runs of the
        # small profiles would end before the running statistics have converged.
        self.norms = nn.ModuleList(nn.BatchNorm2d(o, eps=1e-3) for _, o in plan[2:])
        self.lstm = nn.LSTM(c512, c512, config.layers, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * c512, self.codec.size)
        self.add_shortcut(c512)
        _initialise_like_keras(self)

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing("adaptive", self.config.height)

    def time_steps(self, width: int) -> int:
        return (width // 3 - 4) // 3 + 1

    def column_features(self, images_BCHW: Tensor) -> Tensor:
        conv, norm = self.convolutions, self.norms
        x = images_BCHW.contiguous(memory_format=torch.channels_last)
        x = F.relu(F.max_pool2d(conv[0](x), 3, 3))
        # The source project prints 54×1000 before this pooling and 17×333 after it: window 4,
        # stride 3.
        x = F.relu(F.max_pool2d(conv[1](x), 4, 3))
        x = F.relu(norm[0](conv[2](x)))
        x = F.relu(norm[1](conv[3](x)) + x)
        x = F.relu(norm[2](conv[4](x)))
        x = F.relu(norm[3](conv[5](x)) + x)
        x = F.relu(F.max_pool2d(norm[4](conv[6](x)), (3, 1), (3, 1)))
        return x.amax(2).transpose(1, 2)

    def column_logits(self, columns_BTC: Tensor) -> Tensor:
        hidden_BTC, _ = self.lstm(columns_BTC)
        logits_BTV: Tensor = self.head(hidden_BTC)
        return logits_BTV


def _initialise_like_keras(network: nn.Module) -> None:
    """Initialise like Keras: Glorot, orthogonal recurrent weights, biases 0, of forget gates 1.

    With PyTorch's initialisation the outputs of the first, unnormalised layers are so small that
    CTC starts to learn far later.
    """
    for name, weight in network.named_parameters():
        if "weight_hh" in name:
            for gate in weight.data.chunk(4):
                nn.init.orthogonal_(gate)
        elif weight.dim() > 1:
            for part in weight.data.chunk(4) if "weight_ih" in name else (weight.data,):
                nn.init.xavier_uniform_(part)
        elif "bias" in name:
            nn.init.zeros_(weight)
        if "bias_ih" in name:
            weight.data.chunk(4)[1].fill_(1.0)
