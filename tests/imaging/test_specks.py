"""Specks are painted over, and what a pen wrote stays."""

import cv2
import numpy as np
import pytest

from netchu.imaging.specks import without_specks


@pytest.fixture
def line():
    """A line in black and white, 80 px high, whose dots are 4 px wide and strokes 2 px."""
    line_HW = np.full((80, 400), 255, np.uint8)
    cv2.putText(line_HW, "long i", (20, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.2, 0, 2)
    cv2.circle(line_HW, (200, 66), 2, 0, cv2.FILLED)
    return line_HW


def test_specks_are_paper_and_ink_stays(line):
    speckled = line.copy()
    for y, x in ((5, 5), (40, 390), (75, 111), (12, 300)):
        speckled[y, x] = 0
    speckled[60, 350:352] = 0
    assert np.array_equal(without_specks(speckled), line)


def test_a_line_without_specks_is_returned_itself(line):
    grey = cv2.GaussianBlur(line, (5, 5), 0)
    assert without_specks(line) is line
    assert without_specks(grey) is grey


def test_a_low_line_keeps_every_dot():
    low_HW = np.full((30, 90), 255, np.uint8)
    low_HW[25, 40] = 0
    assert without_specks(low_HW) is low_HW
