"""CTC prefix scores, by which a decoder of characters also listens to a CTC head.

Watanabe et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition",
section II-C: a prefix scores the probability of all texts that begin with it. Attention that skips
or repeats a part of the line scores well under the decoder and badly here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

IMPOSSIBLE = -1e4
"""Logarithm of a probability of almost 0, so that differences are no NaN."""


@dataclass(frozen=True)
class Prefixes:
    """Prefixes, one a row, with the probabilities of the paths that spell them.

    rows_N: the line of each prefix. last_N: its last class, or -1 if it is empty. paths_TN2:
    logarithm of the probability that the first t time steps (0 to T) spell it, with the last one
    on its last character, and on a blank. scores_N: its prefix score.
    """

    rows_N: Tensor
    last_N: Tensor
    paths_TN2: Tensor
    scores_N: Tensor


class CTCPrefixScorer:
    """Scores prefixes of the texts of a batch of lines."""

    def __init__(self, log_probs_BTV: Tensor, steps_B: Tensor, blank: int, end: int) -> None:
        """Keep the log-probabilities of a CTC head.

        Args:
            log_probs_BTV: of V classes at T time steps.
            steps_B: number of time steps of each line that count; the others are padding.
            blank: class of the blank.
            end: class whose score is that of ending the text.
        """
        # In double precision, because differences of sums over all time steps follow.
        log_probs_TBV = log_probs_BTV.double().transpose(0, 1).clamp_min(IMPOSSIBLE)
        padding_TB = torch.arange(len(log_probs_TBV), device=log_probs_TBV.device)[:, None] >= (
            steps_B.to(log_probs_TBV.device)
        )
        log_probs_TBV[padding_TB] = IMPOSSIBLE
        log_probs_TBV[..., blank][padding_TB] = 0.0
        self._log_probs_TBV = log_probs_TBV
        self._blank = blank
        self._end = end

    def empty(self, beams: int = 1) -> Prefixes:
        """Return the empty prefix of each line, `beams` times in a row."""
        blanks_TB = self._log_probs_TBV[..., self._blank].cumsum(0)
        paths_TB2 = blanks_TB.new_full((len(blanks_TB) + 1, blanks_TB.shape[1], 2), -torch.inf)
        paths_TB2[0, :, 1] = 0.0
        paths_TB2[1:, :, 1] = blanks_TB
        rows_N = torch.arange(blanks_TB.shape[1], device=blanks_TB.device).repeat_interleave(beams)
        return Prefixes(
            rows_N,
            torch.full_like(rows_N, -1),
            paths_TB2[:, rows_N],
            paths_TB2.new_zeros(len(rows_N)),
        )

    @property
    def lines(self) -> int:
        """Number of lines of the batch."""
        return self._log_probs_TBV.shape[1]

    def scores(self, prefixes: Prefixes) -> Tensor:
        """Return the prefix score (N, V) of each prefix and one class more."""
        paths_TN2 = prefixes.paths_TN2
        before_TNV = self._before(prefixes)
        scores_NV = (before_TNV + self._log_probs_TBV[:, prefixes.rows_N]).logsumexp(0)
        scores_NV[:, self._end] = paths_TN2[-1].logsumexp(-1)
        return scores_NV.clamp_min(IMPOSSIBLE)

    def _before(self, prefixes: Prefixes) -> Tensor:
        """Return the probability (T, N, V) of the prefix before a time step that adds a class.

        The last class again is another character only after a blank.
        """
        paths_TN2 = prefixes.paths_TN2[:-1]
        classes = self._log_probs_TBV.shape[-1]
        before_TNV = paths_TN2.logsumexp(-1)[..., None].expand(-1, -1, classes).clone()
        continued_N = (prefixes.last_N >= 0).nonzero().flatten()
        before_TNV[:, continued_N, prefixes.last_N[continued_N]] = paths_TN2[:, continued_N, 1]
        return before_TNV

    def extended(self, prefixes: Prefixes, parents_M: Tensor, classes_M: Tensor) -> Prefixes:
        """Return prefixes of one character more.

        Args:
            parents_M: index of the prefix that each extends.
            classes_M: the character.
        """
        rows_M = prefixes.rows_N[parents_M]
        last_M = prefixes.last_N[parents_M]
        paths_TM2 = prefixes.paths_TN2[:-1, parents_M]
        before_TM = torch.where(classes_M == last_M, paths_TM2[..., 1], paths_TM2.logsumexp(-1))
        emitted_TM = self._log_probs_TBV[:, rows_M, classes_M]
        never_1M = torch.full_like(emitted_TM[:1], -torch.inf)
        on_TM = torch.cat([never_1M, _sums(before_TM, emitted_TM)])
        off_TM = _sums(on_TM[:-1], self._log_probs_TBV[:, rows_M, self._blank])
        paths_TM2 = torch.stack([on_TM, torch.cat([never_1M, off_TM])], -1)
        scores_M = (before_TM + emitted_TM).logsumexp(0).clamp_min(IMPOSSIBLE)
        return Prefixes(rows_M, classes_M, paths_TM2, scores_M)


def _sums(entered_TM: Tensor, stayed_TM: Tensor) -> Tensor:
    """Return x of x[t] = (x[t - 1] + entered[t]) · stayed[t], all as logarithms.

    Written as a cumulative sum: step by step it takes longer than the network itself.
    """
    products_TM = stayed_TM.cumsum(0)
    return products_TM + (entered_TM - products_TM + stayed_TM).logcumsumexp(0)
