"""The search against the plain one of its paper."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.core.text import ALPHABET
from netchu.decoding import beam
from netchu.decoding.beam import MAX_CLASSES_PER_STEP, BeamDecoder
from netchu.decoding.scaling import PlattScaling
from plain_decoding import PlainBeamDecoder, tried_classes

SCALING = PlattScaling(0.8, -0.2)


@pytest.fixture(scope="session")
def decoders(file):
    return PlainBeamDecoder(ALPHABET, file, SCALING), BeamDecoder(ALPHABET, file, SCALING)


def written(rng, text, spread, noise):
    """Probabilities (T, V) of a text: steps of letters, some of them repeated, and of blanks.

    Args:
        rng: a generator of random numbers.
        text: what the most probable classes of most steps spell.
        spread: of the Dirichlet distribution of a step; below 1 few classes are probable.
        noise: share of a step's probability that is drawn from it.
    """
    path = []
    for letter in text:
        path += [1 + ALPHABET.index(letter)] * int(rng.integers(1, 3))
        path += [0] * int(rng.integers(0, 4))
    path = path or [0, 0]
    rows_TV = noise * rng.dirichlet(np.full(len(ALPHABET) + 1, spread), len(path))
    rows_TV[np.arange(len(path)), path] += 1 - noise
    return rows_TV.astype(np.float32)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6),
    st.text(st.sampled_from("aAhHàảnNộiốg 1,x"), max_size=12),
    st.sampled_from([0.003, 0.02, 1.0]),
    st.sampled_from([0.02, 0.3, 0.6, 1.0]),
)
def test_emissions_are_those_of_the_plain_search(decoders, seed, text, spread, noise):
    plain, fast = decoders
    rows_TV = written(np.random.default_rng(seed), text, spread, noise)
    assert fast.decode(rows_TV) == plain.decode(rows_TV)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 14), st.sampled_from([0.1, 0.5, 3.0]))
def test_prefixes_that_come_back_and_double_letters(file, seed, steps, spread):
    # With few classes every prefix has several ways into the beam.
    rows_TV = np.random.default_rng(seed).dirichlet(np.full(4, spread), steps).astype(np.float32)
    for model in (file, None):
        plain, fast = PlainBeamDecoder("ah ", model), BeamDecoder("ah ", model)
        assert fast.decode(rows_TV) == plain.decode(rows_TV)
        blank_T, classes_T = rows_TV[:, 0].tolist(), tried_classes(rows_TV)
        start = beam._Context(fast._model.start, fast._model, {})
        assert fast._best_text(blank_T, classes_T, start) == plain.search(rows_TV)


def test_of_equally_probable_alternatives_the_first_classes_are_kept():
    rows_TV = np.full((1, 80), 0.01, np.float32)
    rows_TV[0, 70] = 0.21
    classes_T = beam._probable_classes(rows_TV)
    (emission,) = beam._collapse([70], [float(rows_TV[0, 70])], classes_T)
    assert [id for id, _ in emission.alternatives] == [1, 2, 3, 4]


def test_a_step_of_the_language_model_is_taken_once_a_line(decoders, monkeypatch):
    plain, fast = decoders
    taken = {}
    for decoder in decoders:
        steps = taken[decoder] = []
        step = decoder._model.step
        monkeypatch.setattr(
            decoder._model, "step", lambda *a, step=step, s=steps: s.append(a) or step(*a)
        )
    rows_TV = written(np.random.default_rng(1), "Hà Nội, Hà Nội", 0.02, 0.5)
    assert fast.decode(rows_TV) == plain.decode(rows_TV)
    assert len(taken[fast]) == len(set(taken[fast]))
    assert set(taken[fast]) == set(taken[plain])
    assert len(taken[plain]) > len(taken[fast])


@pytest.mark.parametrize("more", [-1, 0, 1, 2, 9])
def test_the_most_probable_classes_of_a_line_are_tried(more):
    steps = 3
    limit = steps * MAX_CLASSES_PER_STEP
    rows_TV = np.zeros((steps, 200), np.float32)
    rows_TV[:, 0] = 0.9  # the blank is no class to try
    values = np.random.default_rng(more + 1).permutation(limit + more) / 1e4 + 0.01
    rows_TV.reshape(-1)[np.arange(limit + more) * 31 + 1] = values
    classes_T = beam._probable_classes(rows_TV)
    assert sum(map(len, classes_T)) == limit + more
    assert beam._limited(classes_T) == tried_classes(rows_TV)
