"""The attention family: one character after another, until the end token."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netchu.core.codec import Codec
from netchu.data.batches import LineBatch
from netchu.decoding.readings import Reading, joint_probability
from netchu.models.base import Recogniser
from netchu.models.ctc_prefix import CTCPrefixScorer


class AttentionRecogniser(Recogniser):
    """Predicts each character from the image and the characters before it.

    A subclass implements `forward` for training with teacher forcing, and `start` and `step` for
    reading.
    """

    PAD: ClassVar[int] = 0
    START: ClassVar[int] = 1
    END: ClassVar[int] = 2

    def __init__(self, config: Any, alphabet: str) -> None:
        super().__init__(config, alphabet)
        self.codec = Codec(alphabet, specials=3)

    @property
    @abstractmethod
    def max_length(self) -> int:
        """Maximum number of characters of a reading."""

    @abstractmethod
    def forward(self, images_BCHW: Tensor, widths_B: Tensor, inputs_BL: Tensor) -> Tensor:
        """Return logits (B, L, V) of the character after each of `inputs_BL`."""

    @abstractmethod
    def start(self, images_BCHW: Tensor, widths_B: Tensor) -> Any:
        """Return the state from which `step` predicts the first character."""

    @abstractmethod
    def step(self, ids_B: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return probabilities (B, V) of the character after `ids_B`, and the next state."""

    def ctc_scorer(self, batch: LineBatch, state: Any) -> CTCPrefixScorer | None:
        """Return the CTC head that takes part in reading, from the state of `start`, if any."""
        return None

    def rejection_reason(self, text: str, width: int) -> str:
        if len(text) <= self.max_length:
            return ""
        return f"too long: {len(text)} characters for a max_length of {self.max_length}"

    def targets(self, texts: Sequence[str]) -> Tensor:
        """Return ids (B, L + 2): START, the text, END and padding."""
        rows = [
            torch.tensor([self.START, *self.codec.encode(text), self.END], device=self.device)
            for text in texts
        ]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=self.PAD)

    def loss(self, batch: LineBatch) -> Tensor:
        ids_BL = self.targets(batch.texts)
        logits_BLV = self(batch.images_BCHW, batch.widths_B, ids_BL[:, :-1])
        return F.cross_entropy(
            logits_BLV.flatten(0, 1).float(), ids_BL[:, 1:].flatten(), ignore_index=self.PAD
        )

    @torch.inference_mode()
    def transcribe(self, batch: LineBatch) -> list[Reading]:
        """Decode greedily: the most probable character at each step, until END or `max_length`."""
        state = self.start(batch.images_BCHW, batch.widths_B)
        scorer = self.ctc_scorer(batch, state)
        prefixes = scorer.empty() if scorer else None
        every_B = torch.arange(len(batch.texts), device=self.device)
        ids_B = torch.full((len(batch.texts),), self.START, device=self.device)
        done_B = torch.zeros_like(ids_B, dtype=torch.bool)
        ids: list[list[int]] = [[] for _ in batch.texts]
        probabilities: list[list[float]] = [[] for _ in batch.texts]
        for _ in range(self.max_length):
            probabilities_BV, state = self.step(ids_B, state)
            if scorer and prefixes:
                probabilities_BV = self._joint(probabilities_BV, scorer.gains(prefixes))
            best_B, ids_B = probabilities_BV.max(-1)
            if scorer and prefixes:
                prefixes = scorer.extended(prefixes, every_B, ids_B)
            done_B |= ids_B == self.END
            if bool(done_B.all()):
                break
            written_B = ~done_B & (ids_B > self.END)
            for row in written_B.nonzero().flatten().tolist():
                ids[row].append(int(ids_B[row]))
                probabilities[row].append(float(best_B[row]))
        return [
            Reading(self.codec.decode(i), joint_probability(p), tuple(p))
            for i, p in zip(ids, probabilities, strict=True)
        ]

    def _joint(self, probabilities_BV: Tensor, gains_BV: Tensor) -> Tensor:
        """Return the probabilities of the next character, with the weighted gains of a CTC head.

        Watanabe et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition".
        """
        scores_BV = probabilities_BV.clamp_min(1e-9).log() + gains_BV
        scores_BV[:, [self.PAD, self.START]] = -torch.inf
        return scores_BV.softmax(-1)
