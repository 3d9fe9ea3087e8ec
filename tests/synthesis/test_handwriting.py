"""Pen strokes: letters and tones told apart, exchanged, and joined to any text."""

import numpy as np
import pen
import pytest
from archives import group, inkml, pack
from hypothesis import given
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.core.text import split_tone
from netchu.imaging.strokes import Pen, choose_pen, reach, trace
from netchu.synthesis import handwriting
from netchu.synthesis.handwriting import Scribes
from netchu.synthesis.letters import odd_ones, split_initial, split_letters
from netchu.synthesis.marks import change_tone, find_tone
from netchu.synthesis.stroke_pieces import adapt, crop, set_in_row
from netchu.synthesis.writers import read_scribes

WORDS = ("ba", "bà", "bá", "bả", "bã", "bạ", "hoà", "ngon", "vẫn", "hết", "Quế", "cao", "12", "305")


def piece(text):
    return crop(pen.word(text))


@pytest.mark.parametrize("text", [w for w in WORDS if split_tone(w)[1] != "level"])
def test_the_tone_of_a_word_is_found(text):
    found = find_tone(text, piece(text))
    with_tone, without = pen.word(text), pen.word(split_tone(text)[0])
    assert found is not None
    kept = [s for i, s in enumerate(with_tone) if i != found.number]
    assert all(np.array_equal(a, b) for a, b in zip(kept, without, strict=True))


@pytest.mark.parametrize("text", ["ba", "ngon", "12"])
def test_a_word_without_a_tone_has_no_tone_stroke(text):
    assert find_tone(text, piece(text)) is None


def test_a_wrong_shape_is_no_tone():
    assert find_tone("bá", piece("bà")) is None
    assert find_tone("bã", piece("bá")) is None


@given(st.sampled_from("aàáảãạ"), st.sampled_from("aàáảãạ"), st.sampled_from("bđhm"))
def test_any_tone_becomes_any_other(old, new, initial):
    donor, wanted = initial + old, initial + new
    if donor == wanted:
        return
    tone = split_tone(wanted)[1]
    mark = find_tone(wanted, piece(wanted)).mark if tone != "level" else None
    changed = change_tone(donor, piece(donor), wanted, mark)
    assert len(changed.strokes) == len(pen.word(wanted))
    if tone != "level":
        again = find_tone(wanted, changed)
        assert again is not None, "the new tone reads as what it is"
        assert abs(again.x - find_tone(wanted, piece(wanted)).x) < 0.5


def test_a_tone_moves_with_its_letter():
    mark = find_tone("hoà", piece("hoà")).mark
    moved = change_tone("hoà", piece("hoà"), "hòa", mark)
    assert find_tone("hòa", moved).x < find_tone("hoà", piece("hoà")).x - 0.5


@pytest.mark.parametrize("text", ["bao", "305", "Qua"])
def test_letters_that_stand_apart_are_told_apart(text):
    letters = split_letters(text, piece(text), 0.0)
    assert "".join(letter for letter, _ in letters) == text
    for letter, part in letters:
        assert np.allclose(part.strokes[0], crop(pen.letter(letter)).strokes[0], atol=1e-5)


def test_letters_that_run_together_stay_together():
    joined = crop([np.concatenate(pen.word("bao"))])
    assert split_letters("bao", joined, 0.0) == []
    assert split_initial("bao", joined, 0.0) is None


def test_a_low_stroke_is_not_taken_for_a_tall_letter():
    assert split_letters("h", piece("o"), 0.0) == []
    assert split_letters("h", piece("h"), 0.0) != []


def test_a_letter_unlike_the_others_is_odd():
    assert odd_ones([piece("o")] * 9 + [piece("-")]) == [False] * 9 + [True]


def test_pieces_stand_side_by_side_and_lean():
    row = set_in_row([piece("o"), piece("o")], [9.0, 0.5])
    assert row.width == pytest.approx(2 * piece("o").width + 0.5)
    upright = crop([pen.stroke([(0, -2), (0, 0)])])
    leaning = adapt(upright, -0.5, 1.0)
    assert leaning.strokes[0].tolist() == [[1, -2], [0, 0]], "its top leans to the right"


# ---------------------------------------------------------------- whole writers

TEXTS = {
    "id_1": "Bà hoà cao 12, ngon vẫn hết bao.",
    "id_2": "ba Quế sao 305/8 xem-em",
    "id_3": "sau mua con",
}
UNITS = 200
"""Tablet units of an x-height."""


def page(text):
    """Tokens of a line as strokes on a tablet: [(word or mark, strokes)]."""
    out, x = [], 1000.0
    for token in text.split():
        for run in handwriting.RUNS.findall(token):
            strokes = [s * UNITS + np.array([x, 5000], np.float32) for s in pen.word(run)]
            out.append((run, strokes))
            x = max(s[:, 0].max() for s in strokes) + 40
        x += 1.2 * UNITS
    return out


def trace_of(number, stroke):
    points = ",".join(f"{x:.0f} {y:.0f}" for x, y in stroke)
    return f'<trace id="tr_{number}">{points}</trace>'


def session(writer, text):
    """A session of one line, at both levels."""
    words, all_traces, number = [], [], 0
    for run, strokes in page(text):
        traces = [trace_of(number + i, s) for i, s in enumerate(strokes)]
        number += len(traces)
        all_traces += traces
        if run.isalnum():
            words.append(group(f"tg_0_0_{len(words)}", run, *traces))
    name = f"20140101_{writer}.inkml"
    return {
        f"InkData_line/{name}": inkml(writer, group("tg_0_0", text, *all_traces)),
        f"InkData_word/{name}": inkml(writer, *words),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("ink")
    files = {}
    for writer, text in TEXTS.items():
        files |= session(writer, text)
    pack(place / "vnondb.tar.xz", files)
    return place


@pytest.fixture(scope="module")
def scribes(folder):
    return read_scribes(folder, lambda writers: writers)


def test_writers_are_read_on_one_scale(scribes):
    assert [s.name for s in scribes] == ["id_1", "id_2", "id_3"]
    (sau,) = scribes[2].words["sau"]
    points = np.concatenate(sau.strokes)
    assert points[:, 0].min() == 0
    assert points[:, 1].max() == pytest.approx(0, abs=0.1), "the baseline"
    assert points[:, 1].min() == pytest.approx(-1, abs=0.25), "the x-height"


def test_punctuation_is_what_words_leave_over(scribes):
    assert set(scribes[0].punctuation) == {",", "."}
    assert set(scribes[1].punctuation) == {"/", "-"}
    assert len(scribes[1].punctuation["/"]) == 1


def test_only_wanted_writers_are_read(folder):
    read = read_scribes(folder, lambda writers: writers - {"id_1"})
    assert [s.name for s in read] == ["id_2", "id_3"]
    with pytest.raises(NetchuError, match="no training writer"):
        read_scribes(folder, lambda writers: set())


def ways(scribes, text, only=None, seed=0):
    hands = Scribes([s for s in scribes if only is None or s.name in only])
    written = hands.write(text, 64, np.random.default_rng(seed), 0.5)
    assert not isinstance(written, str), written
    return dict(written.ways)


def test_where_words_come_from(scribes):
    assert ways(scribes, "hoà cao", {"id_1"}) == {handwriting.OWN: 2}
    assert ways(scribes, "cao", {"id_1", "id_3"}, seed=3) == {handwriting.OWN: 1}, (
        "who wrote it, writes it"
    )
    assert ways(scribes, "hoà sau", {"id_1", "id_3"}) == {handwriting.OWN: 1, handwriting.OTHER: 1}


def test_tones_are_exchanged_within_a_hand(scribes):
    assert ways(scribes, "hoa", {"id_1"}) == {handwriting.OWN_TONE: 1}
    assert ways(scribes, "cáo hòa", {"id_1"}) == {handwriting.OWN_TONE: 2}, (
        "his acute is that of 'hết'"
    )


def test_a_tone_that_cannot_be_told_apart_is_not_written(tmp_path):
    # The label says má, but no stroke is its tone: neither a tone nor a letter á can be had.
    files = {name: text.replace("ma", "má") for name, text in session("id_1", "ba ma").items()}
    pack(tmp_path / "vnondb.tar.xz", files)
    hands = Scribes(read_scribes(tmp_path, lambda writers: writers))
    assert hands.scribes[0].tones == {}
    answer = hands.write("bá", 64, np.random.default_rng(0), 0.5)
    assert answer == "no writer wrote what 'á' needs"
    assert not isinstance(hands.write("ba", 64, np.random.default_rng(0), 0.5), str)


def test_initials_are_exchanged_within_a_hand(scribes):
    assert ways(scribes, "Bao bà", {"id_1"}) == {handwriting.OWN_INITIAL: 2}


def test_numbers_are_spelled_with_marks_between(scribes):
    assert ways(scribes, "503/8", {"id_2"}) == {
        handwriting.SPELLED: 1,
        handwriting.MARKS: 1,
        handwriting.OWN: 1,
    }


def test_what_nobody_wrote_is_named(scribes):
    answer = Scribes(scribes).write("ba & em", 64, np.random.default_rng(0), 0.5)
    assert answer == "no writer wrote what '&' needs"


def test_the_same_seed_writes_the_same_ink(scribes):
    hands = Scribes(scribes)
    one, two, other = (hands.write("cao 12", 64, np.random.default_rng(n), 0.5) for n in (1, 1, 2))
    assert np.array_equal(one.ink, two.ink)
    assert one.ink.shape != other.ink.shape or not np.array_equal(one.ink, other.ink)


@pytest.mark.parametrize("distortion", [0.0, 1.0])
def test_ink_fits_a_line(scribes, distortion):
    for seed in range(10):
        written = Scribes(scribes).write("cao 12", 64, np.random.default_rng(seed), distortion)
        assert 16 < written.ink.shape[0] < 70
        assert written.ink.shape[1] < 600
        assert written.ink.max() > 0.9
        assert written.ink.min() >= 0.0


# ---------------------------------------------------------------- pens


def test_a_wider_pen_leaves_more_ink_and_a_dot_is_seen():
    strokes = [np.array([[0, 0], [40, 30]], np.float32), np.array([[60, 10]], np.float32)]
    thin, wide = trace(strokes, Pen(1.5)), trace(strokes, Pen(4.0))
    assert wide.sum() > 1.8 * thin.sum()
    assert thin[:, -2 * reach(Pen(1.5)) :].max() > 0.5, "the dot"


def test_a_broad_edge_is_thinner_along_its_angle():
    across = np.array([[0, 0], [0, 60]], np.float32)
    along = np.array([[0, 0], [60, 0]], np.float32)
    nib = Pen(5.0, 0.0, 0.6)
    assert trace([along], nib).sum() < 0.6 * trace([across], nib).sum()


def test_pens_vary():
    widths = {round(choose_pen(np.random.default_rng(n), 16).width, 2) for n in range(40)}
    assert len(widths) > 20
    assert 1.0 < min(widths) < max(widths) < 4.0
