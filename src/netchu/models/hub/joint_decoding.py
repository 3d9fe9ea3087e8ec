"""Joint decoding with a CTC head in the `generate` of transformers."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import LogitsProcessor

from netchu.models.ctc_loss import CTCHead
from netchu.models.ctc_prefix import CTCPrefixScorer, Prefixes


def joint_decoding(
    head: CTCHead, columns_BTC: Tensor, columns_B: Tensor, end: int, weight: float
) -> CTCLogitsProcessor:
    """Return what lets a CTC head take part in one call of `generate`.

    Args:
        head: its classes are the tokens.
        columns_BTC: of B lines.
        columns_B: number of columns of each line that are no padding.
        end: token that ends a text.
        weight: of the CTC scores, beside 1 for the decoder.
    """
    probabilities_BTV, steps_B = head.probabilities(columns_BTC, columns_B)
    return CTCLogitsProcessor(CTCPrefixScorer(probabilities_BTV, steps_B, head.blank, end, weight))


class CTCLogitsProcessor(LogitsProcessor):  # type: ignore[misc]
    """Adds the weighted gain in the CTC prefix score to each token's log-probability."""

    def __init__(self, scorer: CTCPrefixScorer) -> None:
        """Prepare one call of `generate`; the classes of the CTC head are the tokens."""
        self._scorer = scorer
        self._prefixes: Prefixes | None = None
        self._known: dict[tuple[int, ...], int] = {}
        self._prompt = 0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return joint scores (N, V) of tokens after `input_ids` (N, L), with N/B beams a line."""
        beams = len(input_ids) // self._scorer.lines
        if self._prefixes is None:
            self._prompt = input_ids.shape[1]
            self._prefixes = self._scorer.empty(beams)
        keys = [
            (number // beams, *ids)
            for number, ids in enumerate(input_ids[:, self._prompt :].tolist())
        ]
        if self._known:
            # Beams change places between calls; the parent of one is the one with its prefix.
            parents_N = torch.tensor([self._known[key[:-1]] for key in keys], device=scores.device)
            self._prefixes = self._scorer.extended(self._prefixes, parents_N, input_ids[:, -1])
        self._known = {key: number for number, key in enumerate(keys)}
        gains_NV = self._scorer.gains(self._prefixes)
        return scores.log_softmax(-1) + gains_NV.to(scores.dtype)
