"""Pens and the ink that they leave."""

import numpy as np

from netchu.imaging.strokes import Pen, choose_pen, draw_strokes, pen_margin


def test_a_wider_pen_leaves_more_ink_and_a_dot_is_drawn():
    strokes = [np.array([[0, 0], [40, 30]], np.float32), np.array([[60, 10]], np.float32)]
    thin, wide = draw_strokes(strokes, Pen(1.5)), draw_strokes(strokes, Pen(4.0))
    assert wide.sum() > 1.8 * thin.sum()
    assert thin[:, -2 * pen_margin(Pen(1.5)) :].max() > 0.5, "the dot"


def test_a_broad_edge_is_thinner_along_its_angle():
    across = np.array([[0, 0], [0, 60]], np.float32)
    along = np.array([[0, 0], [60, 0]], np.float32)
    nib = Pen(5.0, 0.0, 0.6)
    assert draw_strokes([along], nib).sum() < 0.6 * draw_strokes([across], nib).sum()


def test_pens_vary_in_width():
    widths = {round(choose_pen(np.random.default_rng(n), 16).width, 2) for n in range(40)}
    assert len(widths) > 20
    assert 1.0 < min(widths) < max(widths) < 4.0
