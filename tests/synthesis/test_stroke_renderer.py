"""Writers are read from VNOnDB, and any text is rendered with their strokes."""

import re

import numpy as np
import pytest

import pen
from archives import pack
from netchu.core.errors import NetchuError
from netchu.synthesis import stroke_renderer
from netchu.synthesis.stroke_renderer import StrokeRenderer
from netchu.synthesis.writers import read_writers


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vnondb")
    files = {}
    for writer, text in pen.WRITER_TEXTS.items():
        files |= pen.session_files(writer, text)
    pack(folder / "vnondb.tar.xz", files)
    return folder


@pytest.fixture(scope="module")
def writers(folder):
    return read_writers(folder, set)


def render(renderer, text, seed=0, distortion=0.5):
    return renderer.render(text, "train", 64, np.random.default_rng(seed), distortion)


def word_sources(writers, text, names=None, seed=0):
    chosen = [writer for writer in writers if names is None or writer.name in names]
    rendered = render(StrokeRenderer(chosen), text, seed)
    assert not isinstance(rendered, str), rendered
    return dict(rendered.word_sources)


def test_writers_are_read_at_one_scale(writers):
    assert [writer.name for writer in writers] == ["id_1", "id_2", "id_3"]
    (sau,) = writers[2].words["sau"]
    points = np.concatenate(sau.strokes)
    assert points[:, 0].min() == 0
    assert points[:, 1].max() == pytest.approx(0, abs=0.1), "the baseline"
    assert points[:, 1].min() == pytest.approx(-1, abs=0.25), "the x-height"


def test_strokes_that_belong_to_no_word_are_punctuation(writers):
    assert set(writers[0].punctuation) == {",", "."}
    assert set(writers[1].punctuation) == {"/", "-"}
    assert len(writers[1].punctuation["/"]) == 1


def test_only_selected_writers_are_read(folder):
    read = read_writers(folder, lambda sessions: {n for n, w in sessions.items() if w != "id_1"})
    assert [writer.name for writer in read] == ["id_2", "id_3"]
    with pytest.raises(NetchuError, match="no training writer"):
        read_writers(folder, lambda sessions: set())


def test_words_come_from_the_writer_first_and_from_others_second(writers):
    assert word_sources(writers, "hoà cao", {"id_1"}) == {stroke_renderer.OWN: 2}
    assert word_sources(writers, "hoà sau", {"id_1", "id_3"}) == {
        stroke_renderer.OWN: 1,
        stroke_renderer.OTHER: 1,
    }


def test_the_candidate_who_wrote_most_of_the_words_writes_the_line(writers):
    for seed in range(5):
        assert word_sources(writers, "cao", {"id_1", "id_3"}, seed) == {stroke_renderer.OWN: 1}


def test_a_word_is_made_from_the_writers_word_with_another_tone(writers):
    assert word_sources(writers, "hoa", {"id_1"}) == {stroke_renderer.OWN_TONE: 1}
    assert word_sources(writers, "cáo hòa", {"id_1"}) == {stroke_renderer.OWN_TONE: 2}, (
        "the acute comes from 'hết'"
    )


def test_a_tone_that_was_not_found_is_not_rendered(tmp_path):
    # The label says má, but no stroke is its tone: neither a tone nor a letter á is collected.
    files = pen.session_files("id_1", "ba ma")
    pack(tmp_path / "vnondb.tar.xz", {name: re.sub("ma", "má", f) for name, f in files.items()})
    renderer = StrokeRenderer(read_writers(tmp_path, set))
    assert renderer.writers[0].tones == {}
    assert render(renderer, "bá") == "no writer wrote what 'á' needs"
    assert not isinstance(render(renderer, "ba"), str)


def test_a_word_is_made_from_the_writers_word_with_another_initial(writers):
    assert word_sources(writers, "Bao bà", {"id_1"}) == {stroke_renderer.OWN_INITIAL: 2}


def test_a_number_is_spelled_from_single_digits(writers):
    assert word_sources(writers, "503/8", {"id_2"}) == {
        stroke_renderer.SPELLED: 1,
        stroke_renderer.PUNCTUATION: 1,
        stroke_renderer.OWN: 1,
    }


def test_a_character_that_nobody_wrote_is_named(writers):
    assert render(StrokeRenderer(writers), "ba & em") == "no writer wrote what '&' needs"


def test_same_seed_same_ink_and_another_seed_another(writers):
    renderer = StrokeRenderer(writers)
    one, two, other = (render(renderer, "cao 12", seed) for seed in (1, 1, 2))
    assert np.array_equal(one.ink_HW, two.ink_HW)
    assert not np.array_equal(one.ink_HW, other.ink_HW)


@pytest.mark.parametrize("distortion", [0.0, 1.0])
def test_ink_fits_a_line(writers, distortion):
    renderer = StrokeRenderer(writers)
    for seed in range(10):
        ink = render(renderer, "cao 12", seed, distortion).ink_HW
        assert 16 < ink.shape[0] < 70
        assert ink.shape[1] < 600
        assert ink.max() > 0.9
        assert ink.min() >= 0.0
