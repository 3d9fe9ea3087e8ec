"""The stage export and shipping: calibrated, checked against torch, with a model card."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

from netchu.core.errors import NetchuError
from netchu.data.held_out import HeldOutTexts
from netchu.data.line_table import write_table
from netchu.decoding.language_model import LANGUAGE_MODEL as NAME
from netchu.evaluation.metrics.edits import score_lines
from netchu.inference.exported_model import ExportedModel
from netchu.inference.reader import Reader
from netchu.models.export_files import EXPORT, EXPORT_FOLDER, EXPORT_SPEED
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model
from netchu.models.transcription import read_lines
from netchu.release import system_export
from netchu.release.ngrams import Corpora, mixture_components, write_language_model
from netchu.release.onnx_export import read_with_both
from netchu.release.shipped_weights import FILES, ship
from netchu.release.system_export import export_system, load_lines, time_export
from netchu.tracking.registry import register
from small_project import WORDS, drawn_lines, params, picture, write_model

PROJECT = params()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """models/tiny/netchu_small of a project in which the system was exported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        write_table(drawn_lines("val", 11) + drawn_lines("test", 4), PROJECT.lines / "drawn")
        folder = write_model(PROJECT).parent.resolve()
        export_system(PROJECT, "netchu_small", folder)
        yield folder


def test_only_lines_are_used_not_words(home):
    lines = load_lines(PROJECT, "val")
    assert set(lines["split"]) == {"val"}
    assert set(lines["level"]) == {"line"}
    assert len(lines) == sum(line.level == "line" for line in drawn_lines("val", 11))


def exported_with(test_lines, folder, monkeypatch):
    """What an export writes into its card of a project with these test lines."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    write_table(drawn_lines("val", 11) + test_lines, PROJECT.lines / "drawn")
    home = write_model(PROJECT).parent.resolve()
    export_system(PROJECT, "netchu_small", home)
    return read_card(home / "export")


def test_a_system_that_reads_nothing_gives_an_empty_export_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_table(drawn_lines("val", 3) + drawn_lines("test", 2), PROJECT.lines / "drawn")
    home = write_model(PROJECT).parent
    weights = home / "finetune" / "model.safetensors"
    silent = load_file(weights)
    (bias,) = [name for name in silent if name.startswith("head.") and name.endswith("bias")]
    silent[bias][0] = 1e4  # the blank is certain
    save_file(silent, weights)
    export_system(PROJECT, "netchu_small", home)
    time_export(PROJECT, home)
    reason = "nothing was read on the validation lines"
    for name in (EXPORT, EXPORT_SPEED):
        assert json.loads((home / name).read_text())["why"].startswith(reason)
    assert list((home / EXPORT_FOLDER).iterdir()) == []
    for use in (ship, register):
        with pytest.raises(NetchuError, match=f"netchu_small/export is empty: {reason}"):
            use(PROJECT, "netchu_small")


def test_nothing_is_fitted_to_test_lines(home, tmp_path, monkeypatch):
    # Other test lines change the rates of the test lines and nothing else.
    card = read_card(home / "export")
    other = exported_with(drawn_lines("test", 8)[3:], tmp_path / "other", monkeypatch)
    assert other["figures"].pop("test") != card["figures"].pop("test")
    assert other == card


def test_the_intervals_of_test_lines_are_by_writer_whatever_the_order_of_readings(monkeypatch):
    # Every line of An is wrong and every one of Bo right. The readings come back sorted by width.
    ids = [f"{n:02d}" for n in range(40)]
    lines = pd.DataFrame({"id": ids, "writer": ["An", "Bo"] * 20, "text": "ab"})
    lines = lines.assign(dataset="drawn", source="drawn")
    read = lines.assign(decoded=["xy", "ab"] * 20).sort_values(["writer", "id"])
    monkeypatch.setattr(system_export, "load_lines", lambda params, split: lines)
    monkeypatch.setattr(system_export, "read_export", lambda folder, part: read)
    rates = system_export._test(PROJECT, Path("nowhere"))["test"]["drawn"]
    assert (rates["cer"], rates["cer_low"], rates["cer_high"]) == (0.5, 0, 1)
    assert rates["groups"] == 2


def test_lines_of_new_texts_share_no_four_words_with_a_training_label(monkeypatch):
    texts = ["một hai ba bốn năm", "Hai, ba bốn! NĂM sáu", "hai ba bốn", "bảy tám chín mười"]
    ids = list("abcd")
    lines = pd.DataFrame({"id": ids, "writer": ids, "text": texts, "dataset": "drawn"})
    lines = lines.assign(source="drawn")
    decoded = ["", "", "hai ba bốn", "bảy tám chín một"]  # of new texts, the last two letters
    read = lines.assign(decoded=decoded, exported=["", "", "hai ba", "bảy tám chín mười"])
    monkeypatch.setattr(system_export, "load_lines", lambda params, split: lines)
    monkeypatch.setattr(system_export, "read_export", lambda folder, part: read[::-1])
    monkeypatch.setattr(
        system_export,
        "texts_of_tables",
        lambda params, splits: HeldOutTexts({("train",): ["không hai ba bốn năm không"]}[splits]),
    )
    new = system_export._test(PROJECT, Path("nowhere"))["new_texts"]["drawn"]
    characters = len("hai ba bốn") + len("bảy tám chín mười")
    assert {way: rates["lines"] for way, rates in new.items()} == {"decoded": 2, "greedy": 2}
    assert new["decoded"]["cer"] == pytest.approx(3 / characters, abs=1e-5)  # ười → ột
    assert new["greedy"]["cer"] == pytest.approx(4 / characters, abs=1e-5)


def test_lines_with_a_wrong_label_are_left_out_of_further_figures(monkeypatch):
    ids = ["a", "kalapa-138-5", "b"]
    lines = pd.DataFrame({"id": ids, "writer": ids, "text": "abcd", "dataset": "drawn"})
    lines = lines.assign(source="drawn")
    read = lines.assign(decoded=["abcd", "", "abc"], exported=["abcd", "", "ab"])
    monkeypatch.setattr(system_export, "load_lines", lambda params, split: lines)
    monkeypatch.setattr(system_export, "read_export", lambda folder, part: read[::-1])
    found = system_export._test(PROJECT, Path("nowhere"))
    assert found["test"]["drawn"]["lines"] == 3
    rates = found["well_labelled"]["drawn"]
    assert {way: part["lines"] for way, part in rates.items()} == {"decoded": 2, "greedy": 2}
    assert rates["decoded"]["cer"] == pytest.approx(1 / 8)
    assert rates["greedy"]["cer"] == pytest.approx(2 / 8)


def test_datasets_without_such_lines_have_no_further_rows(home):
    summary = json.loads((home / "export.json").read_text())
    assert summary["new_texts"] == summary["well_labelled"] == {}


def test_export_json_holds_the_measurements(home):
    summary = json.loads((home / "export.json").read_text())
    assert summary["lines"] == len(load_lines(PROJECT, "val"))
    assert 0 <= summary["read_differently"] <= 1
    lines = load_lines(PROJECT, "val")
    trained = read_lines(load_model(home / "finetune"), lines, 4)
    before = score_lines(lines["text"].tolist(), [reading.text for reading in trained])
    cer = before["edits"].sum() / before["characters"].sum()
    assert summary["cer_before_export"] == pytest.approx(cer, abs=1e-6)
    # Rounding may change a few close decisions.
    assert abs(summary["cer"] - cer) <= 3 / before["characters"].sum() + 1e-6
    assert [row["kept"] for row in summary["reject"]] == [100, 95, 90, 80, 70, 50]
    assert summary["reject"][0]["cer"] == summary["cer"]
    assert 0 < summary["size_mb"] < 0.2
    assert 0 <= summary["calibration"]["character_ece"] <= 1


def test_the_exported_card_has_training_and_temperature(home):
    card, trained = read_card(home / "export"), read_card(home / "finetune")
    assert card["training"] == trained["training"]
    assert card["provenance"] == trained["provenance"]
    assert card["temperature"] == card["figures"]["calibration"]["temperature"]


def test_a_reader_can_use_the_export(home):
    reading = Reader(home / "export").read(picture("Tổ 3"), line=True)
    assert len(reading.lines) == 1


def test_latency_is_measured_from_bytes_to_text(home):
    speed = time_export(PROJECT, home)
    assert json.loads((home / EXPORT_SPEED).read_text()) == speed
    assert 0 < speed["latency_p50_ms"] <= speed["latency_p95_ms"]
    assert speed["latency_64x800_p50_ms"] > 0
    assert speed["timed_lines"] == PROJECT.evaluate.latency_lines


def test_an_export_that_reads_worse_than_torch_is_refused(home, monkeypatch):
    def differing(recogniser, folder, lines):
        read = read_with_both(recogniser, folder, lines)
        read["torch"] = read["text"]
        read.loc[0, "exported"] = read.loc[0, "text"] + "b"
        return read

    monkeypatch.setattr(system_export, "read_with_both", differing)
    monkeypatch.setattr(system_export, "export_recogniser", lambda *_: None)
    before = (home / "export.json").read_bytes()
    with pytest.raises(NetchuError, match=r"torch with 0\.00%; do not ship it"):
        export_system(PROJECT, "netchu_small", home)
    assert (home / "export.json").read_bytes() == before


def test_test_lines_only_give_metrics(home):
    summary = json.loads((home / "export.json").read_text())
    assert list(summary["test"]) == ["drawn"]
    assert summary["test"]["drawn"]["lines"] == len(load_lines(PROJECT, "test"))
    assert summary["lines"] == len(load_lines(PROJECT, "val"))


def test_without_a_language_model_there_are_no_metrics_of_one(home):
    summary = json.loads((home / "export.json").read_text())
    assert not {"decoder", "language_model_mb"} & set(summary)
    assert "scales" not in read_card(home / "export")


@pytest.fixture(scope="module")
def with_lm(home):
    """models/tiny of the same project, with a language model."""
    folder = home.parent.parent / "helped"
    (folder / "language").mkdir(parents=True)
    write_language_model(
        mixture_components(Corpora(WORDS * 60, WORDS * 9, ["nghĩa"], WORDS * 9)),
        folder / "language" / NAME,
    )
    (folder / "language" / "texts.json").write_text('{"labels, used": 9, "vi_news, used": 9}')
    export_system(PROJECT, "netchu_small", folder / "netchu_small")
    return folder / "netchu_small"


def test_the_export_has_the_language_model_its_scalings_and_metrics(with_lm):
    card, summary = (
        read_card(with_lm / "export"),
        json.loads((with_lm / "export.json").read_text()),
    )
    language = with_lm.parent / "language" / NAME
    assert (with_lm / "export" / NAME).read_bytes() == language.read_bytes()
    assert summary["language_model_mb"] == round(language.stat().st_size / 1e6, 3)
    assert set(card["scales"]) == {"characters", "lines"}
    decoder = summary["decoder"]
    assert set(decoder) == {"cer", "reject", "character_ece", "line_ece"}
    assert decoder["reject"][0]["cer"] == decoder["cer"]
    figures = {name: summary[name] for name in system_export.FIGURES}
    assert card["figures"] == figures == ExportedModel(with_lm / "export").figures


def test_the_metrics_are_those_of_a_reader(with_lm):
    summary = json.loads((with_lm / "export.json").read_text())
    for greedy, split, told in (
        (True, "val", summary["cer"]), (False, "val", summary["decoder"]["cer"]),
        (False, "test", summary["test"]["drawn"]["cer"]),
    ):  # fmt: skip
        lines = load_lines(PROJECT, split)
        readings = Reader(with_lm / "export", greedy=greedy).read_many(lines["image"], line=True)
        scored = score_lines(lines["text"].tolist(), [reading.text for reading in readings])
        assert scored["edits"].sum() / scored["characters"].sum() == pytest.approx(told, abs=1e-5)


def test_shipping_requires_every_stage(home, tmp_path):
    with pytest.raises(NetchuError, match=r"json is not here; run 'dvc repro'"):
        ship(PROJECT, "netchu_small", tmp_path / "shipped")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(params=["home", "with_lm"])
def evaluated(request):
    """The same, with and without a language model, with a made-up evaluation of the system."""
    home = request.getfixturevalue(request.param)
    rates = {"lines": 4, "cer": 0.05, "cer_low": 0.04, "cer_high": 0.061, "wer": 0.2, "ser": 0.75}
    metrics = {"parameters": 1_234_567, "datasets": {"drawn": {"line": rates, "word": rates}}}
    (home / "evaluation").mkdir(exist_ok=True)
    (home / "evaluation" / "metrics.json").write_text(json.dumps(metrics))
    card = read_card(home / "export")
    phase = {"lines": 1200, "images_seen_at_most": 34000, "phase": {"datasets": ["drawn", "ink"]}}
    card["training"] = [card["training"][0] | phase]
    (home / "export" / "model.json").write_text(json.dumps(card))
    time_export(PROJECT, home)
    return home


def test_a_shipped_model_is_complete_and_its_card_has_the_metrics(evaluated, tmp_path):
    out = tmp_path / "shipped"
    out.mkdir()
    (out / "old").touch()
    helped = evaluated.parent.name == "helped"
    ship(replace(PROJECT, profile=evaluated.parent.name), "netchu_small", out)
    files = sorted([*FILES, NAME] if helped else FILES)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == files
    assert Reader(out).model.figures["cer"] > 0
    text = (out / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| drawn | 4 | 5.0 % | 4.0–6.1 | 20.0 % | 75.0 % |" in text
    assert "1.23 M parameters" in text
    assert "- finetune: 1,200 lines (drawn, ink), 34,000 images seen" in text
    assert read_card(out)["weights"][:12] in text
    assert "| kept | 100 % | 95 % | 90 % | 80 % | 70 % | 50 % |" in text
    assert ("\n| CER with the language model | " in text) == helped
    assert ("`--greedy`" in text) == ("With its language model (" in text) == helped
    assert ("sentences of newspapers (research data)" in text) == helped
    assert ("It knows letters rather than words" in text) != helped
    assert "\n\n\n" not in text
    assert "research-only" in text
    assert "{" not in text
    assert Reader(out).read(picture("Tổ 3"), line=True).lines


def test_a_model_too_large_for_the_package_is_refused(evaluated, tmp_path, monkeypatch):
    monkeypatch.setattr("netchu.release.shipped_weights.MAX_MB", 0.01)
    out = tmp_path / "shipped"
    out.mkdir()
    (out / "old").touch()
    with pytest.raises(NetchuError, match=r"more than 0\.01; ship a smaller network"):
        ship(replace(PROJECT, profile=evaluated.parent.name), "netchu_small", out)
    assert [p.name for p in tmp_path.rglob("*")] == ["shipped", "old"]


def test_an_export_of_a_network_that_reads_nothing_right_is_not_compared(
    home, tmp_path, monkeypatch
):
    def wrong(recogniser, folder, lines):
        read = read_with_both(recogniser, folder, lines)
        read["torch"] = ["€" * len(text) for text in read["text"]]
        return read.assign(exported=read["torch"] + "€")

    monkeypatch.setattr(system_export, "read_with_both", wrong)
    monkeypatch.setattr(system_export, "export_recogniser", lambda *_: None)
    copy = shutil.copytree(home, tmp_path / home.name)
    assert export_system(PROJECT, "netchu_small", copy)["cer"] > 1
