"""CTC prefix scores against the sum over all paths."""

from itertools import groupby, product

import pytest
import torch

from netchu.models.ctc_prefix import CTCPrefixScorer

BLANK, END = 0, 1
LETTERS = (2, 3)
CLASSES = 4
WEIGHT = 0.5


def log_probabilities(lines, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(lines, steps, CLASSES, generator=generator)
    logits[..., END] = -torch.inf  # no column shows the end
    return logits.log_softmax(-1)


def scorer_of(log_probs, steps):
    return CTCPrefixScorer(log_probs.exp(), torch.tensor(steps), BLANK, END, WEIGHT)


def text_of(path):
    return tuple(key for key, _ in groupby(path) if key != BLANK)


def probability(log_probs_TV, wanted):
    """Sum over all paths whose text is `wanted`."""
    return sum(
        float(sum(row[c] for row, c in zip(log_probs_TV, path, strict=True)).exp())
        for path in product((BLANK, *LETTERS), repeat=len(log_probs_TV))
        if wanted(text_of(path))
    )


def prefixes_of(scorer, text):
    prefixes = scorer.empty()
    for letter in text:
        rows = torch.arange(scorer.lines)
        prefixes = scorer.extended(prefixes, rows, torch.full((scorer.lines,), letter))
    return prefixes


@pytest.mark.parametrize("text", [(), (2,), (3, 2), (2, 2), (2, 3, 3)])
def test_scores_are_the_sum_over_all_paths_that_begin_with_the_prefix(text):
    steps = [5, 3]
    log_probs = log_probabilities(2, 5, seed=len(text))
    scorer = scorer_of(log_probs, steps)
    prefixes = prefixes_of(scorer, text)
    scores = (prefixes.scores_N[:, None] + scorer.gains(prefixes) / WEIGHT).exp()
    for line, length in enumerate(steps):
        seen = log_probs[line, :length]
        assert float(prefixes.scores_N[line].exp()) == pytest.approx(
            probability(seen, lambda t: t[: len(text)] == text), abs=1e-6
        )
        assert float(scores[line, END]) == pytest.approx(
            probability(seen, lambda t: t == text), abs=1e-6
        )
        for letter in LETTERS:
            longer = (*text, letter)
            assert float(scores[line, letter]) == pytest.approx(
                probability(seen, lambda t, p=longer: t[: len(p)] == p), abs=1e-6
            )


def test_a_prefix_extends_the_one_it_names():
    scorer = scorer_of(log_probabilities(2, 5), [5, 5])
    both = scorer.extended(scorer.empty(2), torch.tensor([0, 1, 2, 3]), torch.tensor([2, 3, 2, 3]))
    swapped = scorer.extended(both, torch.tensor([1, 3]), torch.tensor([2, 2]))
    expected = prefixes_of(scorer, (3, 2))
    for name, values in vars(expected).items():
        torch.testing.assert_close(getattr(swapped, name), values)


def test_a_text_that_cannot_be_is_worth_less_and_no_nan():
    scorer = scorer_of(log_probabilities(1, 2), [2])
    gains = scorer.gains(prefixes_of(scorer, (2, 3)))
    assert gains[0, 2:].max() < -300
    gains = scorer.gains(prefixes_of(scorer, (2, 3, 2)))
    assert torch.isfinite(gains).all()


def test_long_lines_are_scored_precisely():
    """Probabilities of 400 time steps have no representation but as logarithms."""
    log_probs = 20 * torch.randn(1, 400, CLASSES, generator=torch.Generator().manual_seed(3))
    log_probs[..., END] = -torch.inf
    log_probs = log_probs.log_softmax(-1)
    scorer = scorer_of(log_probs, [400])
    text = [key for key, _ in groupby(log_probs[0].argmax(-1).tolist()) if key != BLANK]
    prefixes = prefixes_of(scorer, text)
    expected = -torch.nn.functional.ctc_loss(
        log_probs[0].double(), torch.tensor(text), (400,), (len(text),), BLANK, "sum"
    )
    found = prefixes.scores_N + scorer.gains(prefixes)[:, END] / WEIGHT
    assert float(found) == pytest.approx(float(expected), abs=1e-4)
