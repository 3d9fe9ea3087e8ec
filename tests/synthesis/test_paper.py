"""Simulated photos: of the given height, ink darker than paper; papers taken from photos."""

import pickle
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.synthesis import fields, forms, paper
from netchu.synthesis.paper import PaperTextures, simulate_photo


def strokes(height=50, width=300):
    """Ink of slanted strokes, cropped to them."""
    ink = np.zeros((height, width), np.uint8)
    for x in range(4, width - 20, 24):
        cv2.line(ink, (x, height - 1), (x + 12, 0), 255, 3, cv2.LINE_AA)
    return ink.astype(np.float32) / 255


def photo_of(page, seed=0):
    """A photo of writing on `page`, with a frame around it and grain."""
    photo = page.copy()
    for x in range(30, photo.shape[1] - 60, 12):
        cv2.line(photo, (x, 50), (x + 10, 20), 40.0, 2)
    cv2.line(photo, (0, 3), (photo.shape[1], 3), 60.0, 2)
    grain = np.random.default_rng(seed).normal(0, 4, photo.shape)
    return np.clip(photo + grain, 0, 255).astype(np.uint8)


SLOPE = np.linspace(150, 220, 600, dtype=np.float32)[None].repeat(64, axis=0)
DARK = PaperTextures.from_photos([np.full((64, 400), 90, np.uint8)], 64)


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 400)),
    st.sampled_from((16, 33, 64, 128)),
    st.integers(0, 10**6),
    st.floats(0, 1),
    st.sampled_from((None, DARK)),
)
@settings(max_examples=60, deadline=None)
def test_a_photo_has_the_given_height_and_depends_on_the_seed_alone(
    size, height, seed, distortion, textures
):
    ink = strokes(*size)
    before = ink.copy()
    photo = simulate_photo(ink, height, np.random.default_rng(seed), distortion, textures)
    again = simulate_photo(ink, height, np.random.default_rng(seed), distortion, textures)
    assert photo.shape[0] == height
    assert photo.shape[1] >= 4
    assert photo.dtype == np.uint8
    np.testing.assert_array_equal(photo, again)
    np.testing.assert_array_equal(ink, before)


def test_without_distortion_the_photo_is_black_on_white():
    photo = simulate_photo(strokes(), 64, np.random.default_rng(1), 0.0)
    assert (photo == 255).mean() > 0.6
    assert photo.min() < 40
    assert (photo[:, 0] == 255).all()


@pytest.mark.parametrize("distortion", [0.2, 0.6, 1.0])
def test_ink_stays_darker_than_paper(distortion):
    for seed in range(40):
        photo = simulate_photo(strokes(), 64, np.random.default_rng(seed), distortion).astype(float)
        assert np.median(photo) - np.percentile(photo, 2) > 25, seed


def test_a_larger_distortion_gives_more_grey():
    def greys(distortion):
        photos = [
            simulate_photo(strokes(), 64, np.random.default_rng(s), distortion) for s in range(30)
        ]
        return np.mean([((p > 60) & (p < 240)).mean() for p in photos])

    assert greys(0.0) < greys(0.3) < greys(1.0)


def test_low_ink_is_not_enlarged():
    def inked(ink):
        photo = simulate_photo(ink, 64, np.random.default_rng(0), 0.0)
        return np.count_nonzero((photo < 128).any(axis=1))

    assert inked(strokes(60)) > 50
    assert inked(strokes(18)) < 32


def test_few_crops_cut_off_ink_and_only_a_little():
    cut = 0
    for seed in range(300):
        block = np.ones((60, 50), np.float32)
        framed = paper._add_margins(block, 64, np.random.default_rng(seed), 1.0)
        cut += bool(framed[0].any() or framed[-1].any())
        assert framed.sum() > 0.0
        assert np.count_nonzero(framed.any(axis=1)) > 24
    assert 5 < cut < 45


def test_vertical_form_lines_are_right_of_the_text():
    for seed in range(60):
        page = np.full((64, 500), 230, np.float32)
        printed = forms._cell(64, 500, 400, np.random.default_rng(seed))
        assert all(column >= 400 for column in printed.columns)
        forms.print_form(page, 400, np.random.default_rng(seed))
        assert page.min() < 225


@pytest.mark.parametrize("draw", [forms._squares, forms._notebook])
def test_school_paper_has_narrow_lines_of_which_every_fourth_or_fifth_may_be_darker(draw):
    periods, tones = set(), set()
    for seed in range(40):
        printed = draw(64, 500, 400, np.random.default_rng(seed))
        steps = np.abs(np.diff(printed.rows))
        assert steps.min() > 0.14 * 64
        assert np.ptp(steps) < 1e-6
        assert steps.max() < 0.36 * 64
        periods.add(printed.period)
        tones |= {printed.tone(printed.period), printed.tone(1)}
        assert printed.tone(0) == printed.tone(printed.period) == 255
    assert periods == ({1, 4, 5} if draw is forms._squares else {4})
    assert min(tones) < 100


def test_darker_lines_of_a_notebook_are_to_be_seen_on_the_page(monkeypatch):
    printed = forms.PrintedLines([8.0, 24.0, 40.0], [], 0.5, period=2, faint=0.4)
    monkeypatch.setattr(forms, "_cell", lambda *_: printed)
    rng = SimpleNamespace(choice=lambda *_, **__: 0, normal=lambda *_: 0.0, uniform=lambda *_: 0.0)
    page = np.full((64, 500), 200, np.float32)
    forms.print_form(page, 400, rng)
    np.testing.assert_allclose(page[[8, 24, 40], 250], [109, 163, 109], atol=3)
    assert (page[[16, 32]] == 200).all()


def test_pencil_is_lighter_and_grainier_than_ink():
    def layer(style, monkeypatched):
        monkeypatched.setattr(paper, "INK_STYLES", (style,) * 3)
        inked = []
        for seed in range(20):
            page = np.full((64, 300), 200, np.float32)
            paper._apply_ink(page, np.ones((64, 300), np.float32), np.random.default_rng(seed), 0.5)
            inked.append(page)
        grain = np.mean([np.abs(np.diff(page, axis=1)).mean() for page in inked])
        return float(np.mean(inked)), float(grain)

    with pytest.MonkeyPatch.context() as patch:
        (ink, smooth), (pencil, grainy) = (layer(s, patch) for s in (paper.BLACK_INK, paper.PENCIL))
    assert ink < 60
    assert 70 < pencil < 120
    assert smooth < 1 < 5 < grainy


def test_a_texture_is_the_photo_without_ink_and_printed_lines():
    textures = PaperTextures.from_photos([photo_of(SLOPE)], 64)
    found = cv2.resize(textures.textures[0].astype(np.float32), (600, 64))
    assert np.abs(found - SLOPE)[:, 30:-30].max() < 14
    assert 2.5 < textures.grains[0] < 5.5


def test_textures_are_small_can_be_pickled_and_read_only_count_photos():
    photos = (photo_of(SLOPE, seed) for seed in range(5))
    textures = PaperTextures.from_photos(photos, 64, count=4)
    assert len(textures.textures) == len(textures.grains) == 4
    assert len(list(photos)) == 1
    assert len(pickle.dumps(textures)) < 4 * 20_000
    restored = pickle.loads(pickle.dumps(textures))
    first, second = (
        simulate_photo(strokes(), 64, np.random.default_rng(2), 1.0, lent)
        for lent in (textures, restored)
    )
    np.testing.assert_array_equal(first, second)


@given(st.integers(16, 200), st.integers(4, 3000), st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_a_sample_has_the_size_of_the_line(height, width, seed):
    page, grain = DARK.sample(height, width, np.random.default_rng(seed))
    assert page.shape == (height, width)
    np.testing.assert_allclose(page, 90, atol=1)
    assert grain < 0.01


def test_textures_are_used_if_there_are_any():
    def paper_tone(textures):
        pages = [
            paper._make_page(64, 300, np.random.default_rng(seed), 1.0, textures)
            for seed in range(20)
        ]
        return [float(np.median(page)) for page in pages]

    assert np.allclose(paper_tone(DARK), 90, atol=2)
    assert min(paper_tone(None)) > 100


def test_no_photos_are_an_error():
    with pytest.raises(NetchuError, match="no photos to take paper from"):
        PaperTextures.from_photos([], 64)


def test_noise_fills_an_image_larger_than_the_precomputed_array():
    side = int(fields.NOISE_SIZE**0.5) + 10
    noise = fields.white_noise(side, side, np.random.default_rng(0))
    assert noise.shape == (side, side)
    assert abs(float(noise.std()) - 1) < 0.01
