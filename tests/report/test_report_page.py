from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import small_report
from netchu.data.line_table import Skipped, write_skipped
from netchu.report.gallery import build_gallery, mark_edits
from netchu.report.gather import gather_findings
from netchu.report.html_page import render

NO_CHARTS = dict.fromkeys(
    ("tradeoffs", "learning", "errors", "spread", "confidence"), ()
)  # fmt: skip
VOID = {"meta", "img", "br", "hr", "input", "link"}


class Structure(HTMLParser):
    """Text, tags and attributes of a page; fails if tags are not balanced."""

    def __init__(self, html):
        super().__init__()
        self.text, self.tags, self.open, self.ids, self.links = [], [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.tags.append((tag, named))
        self.ids += [named["id"]] if "id" in named else []
        self.links += [named["href"][1:]] if tag == "a" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        project = small_report.params()
        small_report.write_profile(project, netchu_small=0.2, crnn_vgg=0.6)
        small_report.write_baseline(project, "tesseract", small_report.predictions(0.7))
        small_report.write_baseline(project, "vietocr_seq2seq", None)
        yield project


def page(project):
    return render(gather_findings(project, small_report.MODELS), NO_CHARTS)


def test_tags_are_balanced_links_resolve_and_images_have_a_text(project):
    found = Structure(page(project))
    assert set(found.links) <= set(found.ids) and len(found.links) > 5
    assert len(set(found.ids)) == len(found.ids)
    pictures = [attributes for tag, attributes in found.tags if tag == "img"]
    assert pictures and all(attributes["alt"] for attributes in pictures)
    regions = [a for tag, a in found.tags if tag == "div" and a.get("class") == "scroll"]
    assert regions and all(a["tabindex"] == "0" and a["aria-label"] for a in regions)


def test_cells_are_sorted_by_their_numbers(project):
    found = Structure(page(project))
    orders = [a["data-order"] for tag, a in found.tags if tag in ("td", "th") and "data-order" in a]
    cer = gather_findings(project, small_report.MODELS).results[0].cer
    assert str(cer) in orders and "netchu_small" in orders


def test_baselines_and_systems_that_were_not_run_are_shown(project):
    text = "".join(Structure(page(project)).text)
    assert "tesseract, baseline" in text and "vietocr_seq2seq is not installed" in text
    assert "not run" in text and "not measured" in text


nasty = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["</script><script>alert(1)</script>", '"><img src=x>', "{{ 7 * 7 }}", "&lt;",
                     "<!--", "</td>", "' onload='x", "\x00", "]]>", "{% raw %}"]),
)  # fmt: skip


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(readings=st.lists(nasty, min_size=12, max_size=12), note=nasty)
def test_readings_and_notes_cannot_inject_html(project, readings, note):
    readings = [reading.encode("utf-8", "ignore").decode() for reading in readings]
    note = note.encode("utf-8", "ignore").decode()
    read = small_report.predictions(0, readings=readings)
    plain = Structure(page(project))
    small_report.write_system(project, "trocr", read, note=note)
    try:
        found = Structure(page(project))
    finally:
        for path in (small_report.MODELS / "trocr" / "evaluation").iterdir():
            path.unlink()
    for tag in ("script", "style", "nav", "table", "h2"):
        assert [t for t, _ in found.tags].count(tag) - [t for t, _ in plain.tags].count(tag) in (
            (0, 1) if tag == "table" else (0,)
        )
    allowed = {"img": {"src", "alt", "loading"}}
    for tag, attributes in found.tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert set(attributes) <= allowed.get(tag, set(attributes))
        assert tag != "img" or attributes["src"].startswith("data:image/webp;base64,")


@given(st.text("ab<&\"'ế", min_size=1, max_size=12), st.text("ab<&\"'ế", max_size=12))
def test_marked_edits_contain_the_reading_and_the_deletions(truth, reading):
    found = Structure(str(mark_edits(truth, reading)))
    assert {tag for tag, _ in found.tags} <= {"mark", "ins", "del"}
    kept, tags = [], []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, _: tags.append(tag)
    parser.handle_endtag = lambda _: tags.pop()
    parser.handle_data = lambda data: kept.append("" if tags == ["del"] else data)
    parser.feed(str(mark_edits(truth, reading)))
    parser.close()
    assert "".join(kept) == reading


def test_edits_are_marked():
    marked = mark_edits("a<b cd", "a<x cde")
    assert str(marked) == 'a&lt;<mark title="b">x</mark> cd<ins>e</ins>'
    assert str(mark_edits("ab", "a")) == "a<del>b</del>"
    assert str(mark_edits("ab", "")) == "<del>ab</del>"


def test_the_gallery_holds_the_worst_and_the_most_confident_wrong_lines(project):
    findings = gather_findings(project, small_report.MODELS)
    gallery = build_gallery(findings)
    number = project.report.gallery_lines
    assert len(gallery.random) == number
    assert {len(line.readings) for line in gallery.random} == {2}
    for shown in gallery.systems:
        worst = [line.readings[0].cer for line in shown.worst]
        sure = [line.readings[0].confidence for line in shown.confident]
        assert worst == sorted(worst, reverse=True) and sure == sorted(sure, reverse=True)
        assert all(line.readings[0].cer > 0 for line in shown.worst + shown.confident)


def test_a_line_that_one_system_did_not_read_is_shown_for_the_others(project):
    findings = gather_findings(project, small_report.MODELS)
    first, second = findings.results
    lines = first.predictions["level"] == "line"
    partly = replace(first, predictions=first.predictions[lines])
    everything = replace(project, report=replace(project.report, gallery_lines=99))
    changed = replace(findings, params=everything, results=[partly, second])
    shown = build_gallery(changed).random
    assert len(shown) == len(second.predictions)
    assert sum(len(line.readings) == 2 for line in shown) == lines.sum() < len(shown)


def test_a_long_list_of_skipped_lines_is_truncated(project):
    folder = project.lines / "drawn"
    before = (folder / "skipped.csv").read_bytes()
    write_skipped([Skipped(f"id{i}", "empty label") for i in range(60)], folder)
    html = page(project)
    (folder / "skipped.csv").write_bytes(before)
    assert "data: drawn: 60" in html and "… and 10 more" in html
