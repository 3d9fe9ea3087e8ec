import numpy as np
import pandas as pd
import pytest

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics.summary import lines_hash, summarise_predictions


def predictions() -> pd.DataFrame:
    rows = [
        (dataset, level, f"{dataset}-{i}", f"hand {i % 3}", "Tổ 3", "Tổ 3" if i % 2 else "to 3")
        for dataset, level in (("one", "line"), ("two", "line"), ("two", "word"))
        for i in range(6)
    ]
    frame = pd.DataFrame(rows, columns=["dataset", "level", "id", "writer", "text", "reading"])
    return frame.assign(source="s", confidence=np.linspace(0, 1, len(rows)))


def test_overall_is_of_lines_and_a_level_without_predictions_is_absent():
    found = summarise_predictions(predictions(), ["one", "two", "three"], 20, 1)
    assert found["overall"]["lines"] == 12
    assert {dataset: set(levels) for dataset, levels in found["datasets"].items()} == {
        "one": {"line"}, "two": {"word", "line"}, "three": set()
    }  # fmt: skip
    assert found["datasets"]["one"]["line"]["cer"] == 0.25
    assert sum(found["overall"]["sums"]["lines"]) == 12
    assert found["tables"]["by_source"][0]["lines"] == 12


def test_each_block_has_its_own_lines_writers_and_confidences():
    # Lines of two writers: the lines of An are right and those of Bo wrong, all with 0.8.
    rows = [
        (level, f"{level}-{i}", "An" if i % 2 else "Bo", "a", "a" if i % 2 else "b", confidence)
        for level, confidence in (("line", 0.8), ("word", 0.3))
        for i in range(30)
    ]
    names = ["level", "id", "writer", "text", "reading", "confidence"]
    frame = pd.DataFrame(rows, columns=names).assign(dataset="one", source="s")
    frame.loc[frame["level"] == "word", "reading"] = "a"
    found = summarise_predictions(frame, ["one"], 400, 1)
    for block in (found["overall"], found["datasets"]["one"]["line"]):
        assert (block["cer"], block["cer_low"], block["cer_high"]) == (0.5, 0, 1)
        assert block["lines_hash"] == lines_hash(frame[frame["level"] == "line"])
        assert sum(block["sums"]["edits"]) == 15
        assert block["ece"] == pytest.approx(0.3)
    word = found["datasets"]["one"]["word"]
    assert (word["cer"], word["ece"], word["lines"]) == (0, pytest.approx(0.7), 30)
    assert found["tables"]["reliability"][0]["confidence"] == pytest.approx(0.8)
    assert [row["cer"] for row in found["tables"]["by_writer"]] == [0, 1]


def test_a_line_is_right_for_the_calibration_only_if_it_is_read_exactly():
    frame = predictions().assign(text="hoà", reading="hòa", confidence=1.0)
    assert summarise_predictions(frame, ["one"], 20, 1)["overall"]["ece"] == 1


def test_without_details_there_are_no_sums_and_no_tables():
    found = summarise_predictions(predictions(), ["one", "two"], 20, 1, details=False)
    assert "tables" not in found
    assert "sums" not in found["overall"]
    assert "sums" not in found["datasets"]["one"]["line"]


def test_the_hash_depends_on_the_lines_and_not_on_their_order_or_reading():
    frame = predictions()
    same = frame.sample(frac=1, random_state=1).assign(reading="x")
    assert lines_hash(frame) == lines_hash(same)
    assert lines_hash(frame) != lines_hash(frame.iloc[1:])
    assert lines_hash(frame) != lines_hash(frame.assign(text="Tổ 4"))
    assert lines_hash(frame) != lines_hash(frame.assign(dataset="one"))


def test_missing_readings_confidences_and_lines_are_errors():
    frame = predictions()
    with pytest.raises(NetchuError, match="reading 3 is missing"):
        summarise_predictions(
            frame.assign(reading=frame["reading"].where(frame.index != 3)), ["one"], 20, 1
        )
    with pytest.raises(NetchuError, match="confidence 2 is nan"):
        frame.loc[2, "confidence"] = np.nan
        summarise_predictions(frame, ["one"], 20, 1)
    with pytest.raises(NetchuError, match="no line"):
        summarise_predictions(predictions().assign(level="word"), ["one"], 20, 1)
