"""The CTC family: one class or the blank at every time step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.data.batches import LineBatch
from netchu.decoding.beam import BLANK, BeamDecoder
from netchu.decoding.greedy import Emission, greedy_decode
from netchu.decoding.readings import Reading, joint_probability
from netchu.models.base import Recogniser, Transcribe
from netchu.models.ctc_loss import ctc_loss


class CTCRecogniser(Recogniser):
    """Connectionist temporal classification (Graves et al. 2006): one step, one class or blank.

    A subclass implements `column_features`, `column_logits` and `time_steps`; a step is a fixed
    number of pixels. With `shortcut` above 0, a second CTC head on the column features adds to the
    training loss (Retsinas et al. 2022, "Best practices for a handwritten text recognition
    system"). The convolutions then learn long before the gradient of the recurrent layers is of
    use.
    """

    def __init__(self, config: Any, alphabet: str) -> None:
        super().__init__(config, alphabet)
        self.codec = Codec(alphabet, specials=1)
        self.shortcut_head: nn.Module | None = None

    def add_shortcut(self, channels: int) -> None:
        """Add the second head if `shortcut` in the config is above 0."""
        if self.config.shortcut > 0:
            self.shortcut_head = nn.Conv1d(channels, self.codec.size, 3, padding=1)

    @abstractmethod
    def column_features(self, images_BCHW: Tensor) -> Tensor:
        """Return features (B, T, C) of image columns, from the convolutional part."""

    @abstractmethod
    def column_logits(self, columns_BTC: Tensor) -> Tensor:
        """Return logits (B, T, V) of column features, from the part along the line."""

    @abstractmethod
    def time_steps(self, width: int) -> int:
        """Return the number of time steps of an image that is `width` pixels wide."""

    def rejection_reason(self, text: str, width: int) -> str:
        repeats = sum(a == b for a, b in pairwise(text))
        needed, given = len(text) + repeats, self.time_steps(width)
        if given >= needed:
            return ""
        return f"too short for CTC: {given} time steps for {needed} needed by {text!r}"

    def _steps(self, widths_B: Tensor, most: int) -> Tensor:
        steps = [min(most, self.time_steps(int(w))) for w in widths_B]
        return torch.tensor(steps, dtype=torch.long)

    def ctc_loss(self, logits_BTV: Tensor, batch: LineBatch) -> Tensor:
        """Return the CTC loss per character, averaged over the batch.

        Raises:
            NetchuError: a line has fewer time steps than its text needs.
        """
        for text, width, line in zip(batch.texts, batch.widths_B.tolist(), batch.ids, strict=True):
            if reason := self.rejection_reason(text, width):
                raise NetchuError(f"line {line}: {reason}; drop it or widen the image")
        return ctc_loss(
            logits_BTV,
            self._steps(batch.widths_B, logits_BTV.shape[1]),
            [self.codec.encode(text) for text in batch.texts],
            BLANK,
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """Return logits (B, T, V)."""
        return self.column_logits(self.column_features(images_BCHW))

    def loss(self, batch: LineBatch) -> Tensor:
        columns_BTC = self.column_features(batch.images_BCHW)
        loss = self.ctc_loss(self.column_logits(columns_BTC), batch)
        if self.shortcut_head is None:
            return loss
        logits_BVT = self.shortcut_head(columns_BTC.transpose(1, 2))
        shortcut = self.ctc_loss(logits_BVT.transpose(1, 2), batch)
        total: Tensor = loss + self.config.shortcut * shortcut
        return total

    def transcribe(self, batch: LineBatch) -> list[Reading]:
        """Decode greedily; the confidence is the product of the characters' probabilities."""
        return self._read(batch, greedy_decode)

    def variants(self) -> dict[str, Transcribe]:
        """Return ways to read by name: the best class of each step, and prefix beam search.

        Both take the network alone; with a language model it is read in the stage `export`.
        """
        beam = BeamDecoder(self.alphabet)
        return {"greedy": self.transcribe, "beam": partial(self._read, decode=beam.decode)}

    @torch.inference_mode()
    def _read(
        self, batch: LineBatch, decode: Callable[[NDArray[np.float32]], list[Emission]]
    ) -> list[Reading]:
        logits_BTV = self(batch.images_BCHW).float()
        steps_B = self._steps(batch.widths_B, logits_BTV.shape[1])
        readings = []
        for logits_TV, steps in zip(logits_BTV, steps_B.tolist(), strict=True):
            emissions = decode(logits_TV[:steps].softmax(-1).cpu().numpy())
            probabilities = tuple(emission.probability for emission in emissions)
            text = self.codec.decode(emission.id for emission in emissions)
            readings.append(Reading(text, joint_probability(probabilities), probabilities))
        return readings
