from collections import Counter

import pandas as pd
import pytest

from netchu.evaluation.metrics.edits import score_lines
from netchu.evaluation.metrics.error_tables import confusion_pairs, error_tables, tone_confusion

LABELS = ["level", "grave", "acute", "tilde", "hook", "dot"]


def predictions(rows: list[tuple[str, str, str, float]]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["writer", "text", "reading", "confidence"])
    return frame.assign(id=[str(i) for i in range(len(rows))], source="s")


def tables_of(rows: list[tuple[str, str, str, float]]) -> dict:
    frame = predictions(rows)
    return error_tables(
        frame, score_lines(frame["text"].tolist(), frame["reading"].tolist()), 50, 1
    )


def test_tone_confusion_counts_aligned_vowels_only():
    found = tone_confusion(
        Counter({("ế", "ề"): 2, ("á", "a"): 1, ("ụ", "ụ"): 5, ("á", "n"): 7, ("n", "m"): 9,
                 ("ã", ""): 4, ("", "ả"): 3, ("Ý", "ỵ"): 1})
    )  # fmt: skip
    assert found["labels"] == LABELS
    expected = {("acute", "grave"): 2, ("acute", "level"): 1, ("dot", "dot"): 5,
                ("acute", "dot"): 1}  # fmt: skip
    assert {
        (LABELS[row], LABELS[column]): count
        for row, counts in enumerate(found["counts"])
        for column, count in enumerate(counts)
        if count
    } == expected


def test_confusion_pairs_ignore_case_tone_punctuation_and_correct_letters():
    found = confusion_pairs(
        Counter({("n", "u"): 3, ("N", "ụ"): 2, ("á", "à"): 9, ("a", "A"): 9, ("l", "1"): 4,
                 ("â", "ă"): 1, (",", "."): 9, ("m", ""): 9, ("t", "t"): 9})
    )  # fmt: skip
    assert found == [
        {"wanted": "n", "got": "u", "count": 5},
        {"wanted": "l", "got": "1", "count": 4},
        {"wanted": "â", "got": "ă", "count": 1},
    ]


def test_cer_by_length_and_known_writer():
    found = tables_of([
        ("An", "abcdefghij", "abcdefghij", 1), ("An", "abcdefghijk", "Xbcdefghijk", 0.5),
        ("", "a" * 100, "b" * 50 + "a" * 50, 0.2), ("Bo", "ab", "ax", 0.1),
    ])  # fmt: skip
    lengths = {(row["from"], row["to"]): row for row in found["by_length"]}
    assert list(lengths) == [(1, 10), (11, 20), (81, None)]
    assert lengths[1, 10]["cer"] == pytest.approx(1 / 12, abs=1e-6)
    assert (lengths[81, None]["lines"], lengths[81, None]["cer"]) == (1, 0.5)
    writers = {row["writer"]: row["cer"] for row in found["by_writer"]}
    assert writers == {"An": round(1 / 21, 6), "Bo": 0.5}
    assert [(row["source"], row["lines"]) for row in found["by_source"]] == [("s", 4)]
    assert found["reject_curve"][0] == {"kept": 100, "cer": found["by_source"][0]["cer"]}
    assert found["reject_curve"][-1]["cer"] == round(1 / 21, 6)


def test_ranges_of_lengths_hold_every_line_once():
    texts = ["a" * length for length in (1, 10, 11, 20, 21, 40, 41, 80, 81, 200)]
    found = tables_of([("An", text, text, 1) for text in texts])["by_length"]
    assert [(row["from"], row["to"], row["lines"], row["characters"]) for row in found] == [
        (1, 10, 2, 11), (11, 20, 2, 31), (21, 40, 2, 61), (41, 80, 2, 121), (81, None, 2, 281),
    ]  # fmt: skip


def test_intervals_are_by_writer_and_reliability_counts_right_lines():
    rows = [("An", "ab", "ab", 0.9), ("Bo", "ab", "ax", 0.1)] * 15
    found = tables_of(rows)
    (source,) = found["by_source"]
    assert (source["cer"], source["cer_low"], source["cer_high"]) == (0.25, 0, 0.5)
    ends = found["reliability"][0], found["reliability"][-1]
    assert [(row["confidence"], row["right"]) for row in ends] == [(0.1, 0), (0.9, 1)]


def test_the_most_frequent_confusions_are_kept():
    pairs = Counter({(chr(ord("a") + n), chr(ord("a") + n + 1)): n + 1 for n in range(24)})
    pairs |= Counter({(str(n), str((n + 1) % 10)): 100 + n for n in range(10)})
    found = confusion_pairs(pairs)
    assert [row["count"] for row in found] == [*range(109, 99, -1), *range(24, 4, -1)]


def test_an_empty_reading_adds_no_confusion():
    found = tables_of([("An", "á n", "", 0), ("Bo", "á", "á", 1)])
    assert found["look_alikes"] == []
    assert sum(map(sum, found["tones"]["counts"])) == 1
