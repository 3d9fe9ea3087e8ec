import pytest

from netchu.decoding.readings import joint_probability


@pytest.mark.parametrize(
    ("probabilities", "expected"), [((), 0.0), ((0.5,), 0.5), ((0.5, 0.25, 1.0), 0.125)]
)
def test_all_characters_have_to_be_right_and_no_characters_never_are(probabilities, expected):
    assert joint_probability(probabilities) == expected
