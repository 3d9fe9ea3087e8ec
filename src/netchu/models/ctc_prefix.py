"""CTC prefix scores, which let a CTC head take part in decoding character by character.

Watanabe et al. 2017, "Hybrid CTC/attention architecture for end-to-end speech recognition",
section II-C: the score of a prefix is the probability of all texts that begin with it. An attention
decoder that skips or repeats a part of the line has a high probability itself, but a low CTC score.

N prefixes are those of B lines, equally many for each line and in the order of the lines.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

IMPOSSIBLE = -1e4
"""Logarithm of a probability of almost 0; minus infinity would make differences NaN."""

LEAST_GAIN = 1e-300
"""Probability of a class that cannot follow; the logarithm of 0 would make sums NaN."""


@dataclass(frozen=True)
class Prefixes:
    """Prefixes with the probabilities of the paths that spell them.

    last_N: the last class; the blank for an empty prefix. on_NS, off_NS: logarithm of the
    probability that the first s of T time steps (S is T + 1) spell the prefix, with step s on the
    last character, and on a blank. scores_N: logarithm of the prefix score.
    """

    last_N: Tensor
    on_NS: Tensor
    off_NS: Tensor
    scores_N: Tensor


class CTCPrefixScorer:
    """Scores prefixes of the texts of a batch of lines."""

    def __init__(
        self, probabilities_BTV: Tensor, steps_B: Tensor, blank: int, end: int, weight: float
    ) -> None:
        """Keep the output of a CTC head.

        Args:
            probabilities_BTV: of V classes at T time steps.
            steps_B: number of time steps of each line that count; the others are padding.
            blank: class of the blank.
            end: class whose score is that of ending the text.
            weight: of the gains.
        """
        # In double precision, because differences of sums over all time steps follow.
        self._probabilities_BTV = probabilities_BTV.double()
        steps_T = torch.arange(probabilities_BTV.shape[1], device=probabilities_BTV.device)
        padding_BT = steps_T >= steps_B.to(probabilities_BTV.device)[:, None]
        self._probabilities_BTV[padding_BT] = 0.0
        self._probabilities_BTV[..., blank][padding_BT] = 1.0
        self._logs_BTV = self._probabilities_BTV.log().clamp_min(IMPOSSIBLE)
        self._blank = blank
        self._end = end
        self._weight = weight

    @property
    def lines(self) -> int:
        """Number of lines of the batch."""
        return len(self._logs_BTV)

    def empty(self, beams: int = 1) -> Prefixes:
        """Return the empty prefix of each line, `beams` times."""
        blanks_BT = self._logs_BTV[..., self._blank].cumsum(1)
        off_NS = _after_nothing(blanks_BT, 0.0).repeat_interleave(beams, 0)
        last_N = torch.full((len(off_NS),), self._blank, device=off_NS.device)
        return Prefixes(last_N, torch.full_like(off_NS, -torch.inf), off_NS, off_NS[:, 0])

    def gains(self, prefixes: Prefixes) -> Tensor:
        """Return how the score of each prefix changes by one class more (N, V).

        It is the logarithm of the probability of the class given the prefix, times the weight.
        """
        all_NS = torch.logaddexp(prefixes.on_NS, prefixes.off_NS) - prefixes.scores_N[:, None]
        all_BKS = all_NS.exp().reshape(self.lines, -1, all_NS.shape[1])
        gains_NV = (all_BKS[..., :-1] @ self._probabilities_BTV).flatten(0, 1)
        # The last class again is a character of its own only after a blank.
        off_NS = (prefixes.off_NS - prefixes.scores_N[:, None]).exp()
        again_NT = off_NS[:, :-1] * self._of_class(self._probabilities_BTV, prefixes.last_N)
        gains_NV.scatter_(1, prefixes.last_N[:, None], again_NT.sum(1, keepdim=True))
        gains_NV[:, self._end] = all_BKS[..., -1].flatten()
        return self._weight * gains_NV.clamp_min(LEAST_GAIN).log()

    def extended(self, prefixes: Prefixes, parents_N: Tensor, classes_N: Tensor) -> Prefixes:
        """Return prefixes of one character more.

        Args:
            prefixes: any number for each line.
            parents_N: index of the prefix that each new one extends.
            classes_N: the character.
        """
        on_NS, off_NS = prefixes.on_NS[parents_N], prefixes.off_NS[parents_N]
        all_NS = torch.logaddexp(on_NS, off_NS)
        repeats_N1 = (classes_N == prefixes.last_N[parents_N])[:, None]
        before_NT = torch.where(repeats_N1, off_NS, all_NS)[:, :-1]
        emitted_NT = self._of_class(self._logs_BTV, classes_N)
        blank_NT = self._of_class(self._logs_BTV, torch.full_like(classes_N, self._blank))
        on_NS = _after_nothing(_sums(before_NT, emitted_NT))
        off_NS = _after_nothing(_sums(on_NS[:, :-1], blank_NT))
        scores_N = (before_NT + emitted_NT).logsumexp(1).clamp_min(IMPOSSIBLE)
        return Prefixes(classes_N, on_NS, off_NS, scores_N)

    def _of_class(self, values_BTV: Tensor, classes_N: Tensor) -> Tensor:
        """Return the values (N, T) of one class for each prefix."""
        rows_N = torch.arange(len(classes_N), device=classes_N.device)
        return values_BTV[rows_N // (len(classes_N) // self.lines), :, classes_N]


def _after_nothing(logs_NT: Tensor, nothing: float = -torch.inf) -> Tensor:
    """Return logarithms (N, S) with that of no time step in front."""
    return torch.cat([torch.full_like(logs_NT[:, :1], nothing), logs_NT], 1)


def _sums(entered_NT: Tensor, stayed_NT: Tensor) -> Tensor:
    """Return x of x[t] = (x[t - 1] + entered[t]) · stayed[t], all as logarithms.

    Computed by cumulative sums, because a loop over the time steps takes longer than the network.
    """
    products_NT = stayed_NT.cumsum(1)
    return products_NT + (entered_NT - products_NT + stayed_NT).logcumsumexp(1)
