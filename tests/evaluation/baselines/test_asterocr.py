"""The confidence of AsterOCR's best path; its package is installed in an environment of its own."""

import numpy as np
import pytest

from netchu.evaluation.baselines.asterocr import character_probabilities

PATH = [0, 3, 3, 0, 3, 1, 1, 1, 0]
CHANCES = [0.9, 0.5, 0.7, 0.8, 0.6, 0.4, 0.45, 0.42, 0.99]


@pytest.mark.parametrize("shape", [(9, 1, 5), (1, 9, 5)])
def test_a_character_has_the_highest_probability_of_its_steps(shape):
    rows_TV = np.full((9, 5), 0.001)
    rows_TV[range(9), PATH] = CHANCES
    found = character_probabilities(np.log(rows_TV).reshape(shape), blank=0)
    assert found == pytest.approx([0.7, 0.6, 0.45])


def test_an_empty_path_has_no_characters():
    rows_TV = np.log(np.full((4, 3), [0.8, 0.1, 0.1]))
    assert character_probabilities(rows_TV, blank=0) == []
