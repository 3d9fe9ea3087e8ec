"""CTC prefix scores against the sum over all paths."""

from itertools import groupby, product

import pytest
import torch

from netchu.models.ctc_prefix import CTCPrefixScorer

BLANK, END = 0, 1
LETTERS = (2, 3)
CLASSES = 4


def log_probabilities(lines, steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(lines, steps, CLASSES, generator=generator)
    logits[..., END] = -torch.inf  # no column shows the end
    return logits.log_softmax(-1)


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
    scorer = CTCPrefixScorer(log_probs, torch.tensor(steps), BLANK, END)
    prefixes = prefixes_of(scorer, text)
    scores = scorer.scores(prefixes).exp()
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
    scorer = CTCPrefixScorer(log_probabilities(2, 5), torch.tensor([5, 5]), BLANK, END)
    both = scorer.extended(scorer.empty(2), torch.tensor([0, 1, 2, 3]), torch.tensor([2, 3, 2, 3]))
    swapped = scorer.extended(both, torch.tensor([1, 3]), torch.tensor([2, 2]))
    expected = prefixes_of(scorer, (3, 2))
    assert torch.equal(swapped.rows_N, torch.tensor([0, 1]))
    torch.testing.assert_close(swapped.scores_N, expected.scores_N)
    torch.testing.assert_close(swapped.paths_TN2, expected.paths_TN2)


def test_a_text_that_cannot_be_is_worth_less_and_no_nan():
    scorer = CTCPrefixScorer(log_probabilities(1, 2), torch.tensor([2]), BLANK, END)
    prefixes = prefixes_of(scorer, (2, 3, 2))
    scores = scorer.scores(prefixes)
    assert torch.isfinite(scores).all()
    assert float(scores.max()) < -1000
