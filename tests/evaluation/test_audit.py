from pathlib import Path

import pandas as pd
import pytest

import small_project
from evaluations import write_evaluation
from netchu.core.errors import NetchuError
from netchu.evaluation.audit import SUSPECT_COLUMNS, find_suspects, write_audit
from netchu.imaging.images import decode

READINGS = {
    "test-00": ["hòa bình"] * 4,
    "test-01": ["Tổ 8"] * 3 + ["Tổ 3"],
    "test-02": ["đường Lang"] * 2 + ["đuờng Láng"] * 2,
    "test-03": ["quận một"] * 4,
}
"""Readings of four systems: a tone placed differently; three against the label; two; all four."""


def predictions(system: int) -> pd.DataFrame:
    lines = small_project.drawn_lines()
    return pd.DataFrame(
        {
            "id": [line.id for line in lines],
            "dataset": "drawn",
            "source": "drawn",
            "level": "line",
            "writer": [line.writer for line in lines],
            "text": [line.text for line in lines],
            "reading": [READINGS.get(line.id, [line.text] * 4)[system] for line in lines],
            "confidence": 0.5,
            "variant": "main",
        }
    )


@pytest.fixture
def folders(tmp_path) -> dict[str, Path]:
    found = {name: tmp_path / name for name in "abcd"}
    for number, (name, folder) in enumerate(found.items()):
        write_evaluation(folder, name, predictions(number))
    return found


def test_lines_that_three_systems_read_alike_but_not_as_labelled(folders):
    found = find_suspects(folders)
    assert list(found.columns) == SUSPECT_COLUMNS
    rows = found[["id", "reading", "systems", "edits"]].to_numpy().tolist()
    assert rows == [["test-03", "quận một", "a b c d", 3], ["test-01", "Tổ 8", "a b c", 1]]


def test_the_most_wrong_lines_come_first_then_in_order_of_dataset_and_id(tmp_path):
    lines = [("b", "1", "abc", "xyz"), ("b", "3", "abc", "abd"), ("b", "2", "abc", "abd"),
             ("a", "9", "abc", "abd"), ("b", "0", "abc", "abx")]  # fmt: skip
    frame = pd.DataFrame(lines, columns=["dataset", "id", "text", "reading"])
    frame = frame.assign(source="s", level="line", writer="", confidence=0.5, variant="main")
    for name in "abcd":
        # Four systems agree on the last line, three on the others.
        read = frame.assign(reading=["?"] * 4 + ["abx"]) if name == "d" else frame
        write_evaluation(tmp_path / name, name, read)
    found = find_suspects({name: tmp_path / name for name in "abcd"})
    assert found["dataset"].str.cat(found["id"]).tolist() == ["b0", "b1", "a9", "b2", "b3"]


def test_a_system_that_reads_a_line_twice_counts_once(folders):
    doubled = [predictions(number) for number in (0, 0, 2)]
    for name, frame in zip("abd", doubled, strict=True):
        doubled_lines = pd.concat([frame, frame], ignore_index=True)
        write_evaluation(folders[name], name, doubled_lines)
    found = find_suspects({name: folders[name] for name in "abd"})
    assert set(found["systems"]) == {"a b d"}
    assert "test-02" not in set(found["id"])


def test_the_list_is_empty_if_all_readings_equal_the_labels(folders, tmp_path):
    right = predictions(0).assign(reading=lambda frame: frame["text"])
    for name, folder in folders.items():
        write_evaluation(folder, name, right)
    found = find_suspects(folders)
    assert found.empty
    (written,) = write_audit(small_project.params(), found, tmp_path / "audit", sheet=True)
    assert pd.read_csv(written).columns.tolist() == SUSPECT_COLUMNS


def test_a_reading_in_the_list_is_no_formula_in_a_spreadsheet(folders, tmp_path):
    for name, folder in folders.items():
        write_evaluation(folder, name, predictions(0).assign(reading="=1"))
    found = find_suspects(folders)
    (table,) = write_audit(small_project.params(), found, tmp_path / "a", sheet=False)
    assert (pd.read_csv(table)["reading"] == "\u200b=1").all()


def test_git_ignores_the_list_and_its_sheet(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = small_project.params()
    small_project.write_lines(project)
    found = find_suspects(folders)
    table, sheet = write_audit(project, found, Path("audit"), sheet=True)
    assert pd.read_csv(table, dtype={"writer": str}, keep_default_na=False).equals(found)
    assert (decode(sheet.read_bytes(), "sheet") < 100).any()
    assert Path("audit/.gitignore").read_text() == "*\n"


def test_a_line_missing_from_the_table_is_an_error(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = small_project.params()
    small_project.write_lines(project)
    found = find_suspects(folders).assign(id="gone-1")
    with pytest.raises(NetchuError, match="line gone-1 is not in"):
        write_audit(project, found, Path("audit"), sheet=True)
    assert not Path("audit").exists()


def test_two_systems_are_an_error(folders):
    with pytest.raises(NetchuError, match="needs 3 evaluated systems, and there are 2: a, b"):
        find_suspects({name: folders[name] for name in "ab"})


def test_different_lines_and_missing_readings_are_errors(folders):
    write_evaluation(folders["d"], "d", predictions(0).iloc[1:])
    with pytest.raises(NetchuError, match="a and d have read different lines of drawn/line"):
        find_suspects(folders)
    predictions(0).assign(reading=None).to_parquet(folders["d"] / "predictions.parquet")
    with pytest.raises(NetchuError, match="lacks readings; evaluate d again"):
        find_suspects(folders)
    (folders["d"] / "predictions.parquet").write_bytes(b"PAR1")
    with pytest.raises(NetchuError, match="cannot be read"):
        find_suspects(folders)
    (folders["d"] / "predictions.parquet").unlink()
    with pytest.raises(NetchuError, match=r"predictions\.parquet is not here; evaluate d"):
        find_suspects(folders)
