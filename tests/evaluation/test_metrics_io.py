import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu.core.errors import NetchuError
from netchu.evaluation.metrics_io import read_metrics, write_metrics

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text() | st.sampled_from(["[\n1,\n 2\n]", "[1,  2]", "[\\n1]"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.text(), values, max_size=4))
def test_written_metrics_are_read_back(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "metrics.json"
    write_metrics(content, file)
    assert read_metrics(file) == content
    assert json.loads(file.read_text(encoding="utf-8")) == content


def test_equal_content_is_equal_bytes_and_numbers_share_a_line(tmp_path):
    write_metrics({"b": [1, -2.5, 3e-7], "a": [["x", 1]], "c": []}, tmp_path / "one.json")
    write_metrics({"c": [], "a": [["x", 1]], "b": [1, -2.5, 3e-7]}, tmp_path / "two.json")
    text = (tmp_path / "one.json").read_text(encoding="utf-8")
    assert text == (tmp_path / "two.json").read_text(encoding="utf-8")
    assert (
        text
        == """{
  "a": [
    [
      "x",
      1
    ]
  ],
  "b": [1, -2.5, 3e-07],
  "c": []
}
"""
    )


def test_a_folder_stands_for_its_metrics_file(tmp_path):
    write_metrics({"a": 1}, tmp_path / "metrics.json")
    assert read_metrics(tmp_path) == {"a": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "metrics.json is not here"),
        (b"{", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b"[1]", "is not a JSON object"),
        (b'{"cer": NaN}', "holds NaN, which is not a number"),
        (b'{"cer": -Infinity}', "holds -Infinity"),
    ],
)
def test_missing_and_damaged_files_are_named(tmp_path, content, message):
    file = tmp_path / "metrics.json"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(NetchuError, match=message):
        read_metrics(file)


def test_nan_is_not_written(tmp_path):
    with pytest.raises(NetchuError, match=r"metrics\.json: a value is not a number"):
        write_metrics({"cer": float("nan")}, tmp_path / "metrics.json")
    assert not (tmp_path / "metrics.json").exists()
