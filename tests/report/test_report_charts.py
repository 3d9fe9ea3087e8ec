import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

import small_report
from netchu.report import tradeoffs
from netchu.report.bars import error_parts
from netchu.report.charts import charts
from netchu.report.curves import learning_curve, length_name
from netchu.report.gather import gather_findings
from netchu.report.svg import svg


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("charts"))
        project = small_report.params()
        small_report.write_profile(project, netchu_small=0.0, crnn_vgg=0.6)
        small_report.write_baseline(project, "tesseract", small_report.predictions(0.3, 5))
        findings = gather_findings(project, small_report.MODELS)
        return findings, charts(findings)


def all_of(drawn):
    return [chart for section in drawn[1].values() for chart in section]


def test_every_chart_is_an_image_with_a_description_and_the_pages_text_colour(drawn):
    pictures = all_of(drawn)
    assert len(pictures) == len({chart.title for chart in pictures}) >= 9
    for chart in pictures:
        root = ET.fromstring(chart.picture)
        assert root.get("role") == "img" and chart.title in root.get("aria-label")
        assert "currentColor" in chart.picture and "<metadata" not in chart.picture
        assert "font-family" not in chart.picture and "font:" not in chart.picture


def test_ids_are_unique_and_every_reference_is_defined(drawn):
    ids = [re.findall(r'\bid="([^"]+)"', chart.picture) for chart in all_of(drawn)]
    together = [name for one in ids for name in set(one)]
    assert len(together) == len(set(together))
    for chart, own in zip(all_of(drawn), ids, strict=True):
        assert set(re.findall(r"url\(#([^)]+)\)|\"#([^\"]+)\"", chart.picture)) <= {
            pair for name in own for pair in ((name, ""), ("", name))
        }


def test_charts_name_the_systems_and_the_error_classes(drawn):
    by_title = {chart.title: chart.picture for chart in all_of(drawn)}
    for title in ("CER against size", "What is wrong", "CER of the surest lines"):
        assert "netchu_small" in by_title[title] and "crnn_vgg" in by_title[title]
    assert "tesseract" in by_title["CER against size"]
    assert all(part.label in by_title["What is wrong"] for part in error_parts("class"))
    assert "CER by source" not in by_title  # there is only one source


def test_a_description_is_escaped():
    assert 'aria-label="a &lt;b&gt; &#34;c&#34;"' in svg(lambda axes: None, 'a <b> "c"')


def test_the_pareto_front_holds_the_points_that_none_beats(drawn):
    findings, _ = drawn
    best, other = findings.results
    assert tradeoffs._pareto_front([(1.0, best), (2.0, other)]) == [(1.0, 0.1)]
    assert [cost for cost, _ in tradeoffs._pareto_front([(1.0, other), (2.0, best)])] == [1.0, 2.0]


@settings(max_examples=6, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([1.0, 1.3, 3.0, 10.0]), st.sampled_from([5.0, 30.0, 100.0])),
        min_size=2, max_size=6, unique=True,
    )
)  # fmt: skip
def test_names_of_points_do_not_overlap(points):
    figure = Figure(figsize=(4.3, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(*zip(*points, strict=True))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.margins(x=0.2, y=0.15)
    tradeoffs._write_names(axes, [f"system{i}" for i in range(len(points))], points)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == len(points)
    assert not [1 for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]


def test_a_learning_curve_has_the_known_values(drawn):
    findings, _ = drawn
    assert learning_curve(findings.results[0], "val_cer") == ([50.0, 100.0], [0.8, 0.8])
    assert learning_curve(findings.results[0], "absent") == ([], [])
    assert length_name(81, None) == "81+" and length_name(1, 10) == "1–10"
