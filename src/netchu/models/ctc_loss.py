"""The loss of connectionist temporal classification (CTC), and a head that adds it to a network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F


def ctc_loss(
    logits_BTV: Tensor,
    steps_B: Tensor,
    targets: Sequence[Sequence[int]],
    blank: int,
    zero_infinity: bool = False,
) -> Tensor:
    """Return the CTC loss (Graves et al. 2006) per character, averaged over the batch, a scalar.

    Args:
        logits_BTV: of V classes at T time steps.
        steps_B: number of time steps of each line that count; the others are padding.
        targets: classes of each text, without blanks.
        blank: class of the blank.
        zero_infinity: leave out lines with fewer time steps than their text needs, whose loss is
            infinite.
    """
    device = logits_BTV.device
    return F.ctc_loss(
        logits_BTV.float().log_softmax(-1).transpose(0, 1),
        torch.tensor([i for ids in targets for i in ids], device=device),
        steps_B.to(device),
        torch.tensor([len(ids) for ids in targets], device=device),
        blank=blank,
        zero_infinity=zero_infinity,
    )


HEAD_FILE = "ctc_head.safetensors"


class CTCHead(nn.Linear):
    """A linear head on the columns of an encoder whose text is decoded by attention.

    Its loss is used in training only. It aligns columns and characters from left to right long
    before the attention does (Kim et al. 2017, "Joint CTC-attention based end-to-end speech
    recognition"). Lines with too few time steps are left out of it.
    """

    def __init__(self, channels: int, classes: int, blank: int, steps: int = 1) -> None:
        """Make a head with `steps` time steps for each column.

        CTC cannot write more characters than there are time steps, and small writing has hardly a
        column of 8 pixels a character.
        """
        super().__init__(channels, steps * classes)
        self.classes = classes
        self.blank = blank
        self.steps = steps

    def forward(self, columns_BTC: Tensor) -> Tensor:
        """Return logits (B, T · steps, V) of columns (B, T, C)."""
        return super().forward(columns_BTC).reshape(len(columns_BTC), -1, self.classes)

    def probabilities(self, columns_BTC: Tensor, columns_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities (B, T · steps, V), and how many time steps of each line count.

        Args:
            columns_BTC: of B lines.
            columns_B: number of columns of each line that are no padding.
        """
        return self(columns_BTC).float().softmax(-1), self.steps * columns_B

    def loss(
        self, columns_BTC: Tensor, columns_B: Tensor, targets: Sequence[Sequence[int]]
    ) -> Tensor:
        """Return the loss of columns (B, T, C), of which `columns_B` are no padding; a scalar."""
        logits_BTV = self(columns_BTC)
        return ctc_loss(logits_BTV, self.steps * columns_B, targets, self.blank, zero_infinity=True)

    def save(self, folder: Path) -> None:
        """Write the weights into the folder of a checkpoint in the hub's format."""
        weights = {name: value.cpu() for name, value in self.state_dict().items()}
        save_file(weights, folder / HEAD_FILE)

    def restore(self, folder: Path) -> None:
        """Load the weights that `save` wrote."""
        self.load_state_dict(load_file(folder / HEAD_FILE))
