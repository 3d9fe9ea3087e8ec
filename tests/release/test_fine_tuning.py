"""Fine-tuning on a user's lines, from the table to a model that reads them."""

import csv
import shutil
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import cv2
import matplotlib
import numpy as np
import pytest
import torch

from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET
from netchu.data.batches import PreparedLine, collate
from netchu.data.line_table import Line, read_skipped
from netchu.data.parse.fonts import missing_characters
from netchu.decoding.language_model import LANGUAGE_MODEL
from netchu.imaging.images import decode, encode
from netchu.imaging.preparation import prepare
from netchu.inference.reader import Reader
from netchu.models.model_card import read_card
from netchu.models.model_folder import load_model, save_model
from netchu.models.networks.netchu_small import NetchuSmall, NetchuSmallConfig
from netchu.release import fine_tuning
from netchu.release.fine_tuning import (
    GENERAL_LINES,
    SHARES,
    FineTuning,
    extend_alphabet,
    fine_tune,
    interpolate_weights,
    load_table,
)
from netchu.release.general_lines import FONTS, general_lines
from netchu.release.ngrams import Corpora, mixture_components, write_language_model
from small_project import MODEL, as_table

LETTERS = "xoß"
"""The first two stand in the alphabet of the model to start from, the third is new."""

TEXTS = ["".join(letters) for letters in product(LETTERS, repeat=3)]


def drawn(text):
    """Return an image with one stroke per letter: a tall one, a high one, or a low one.

    Tall thin strokes in between show where the line is.
    """
    image = np.full((32, 16 * len(text) + 16), 235, np.uint8)
    image[4:28, 8::16] = 20
    for place, letter in enumerate(text):
        top, bottom = [(4, 28), (4, 12), (20, 28)][LETTERS.index(letter)]
        cv2.line(image, (16 * place + 16, top), (16 * place + 16, bottom), 20, 3)
    return image


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """A model that reads strokes with the letters x and o."""
    torch.manual_seed(3)
    recogniser = NetchuSmall(NetchuSmallConfig(**MODEL), "xo ").train()
    texts = ["".join(letters) for letters in product("xo", repeat=3)]
    lines = [PreparedLine(prepare(drawn(t), recogniser.preprocessing), t, t, "line") for t in texts]
    batch = collate(lines)
    optimiser = torch.optim.AdamW(recogniser.parameters(), 0.01)
    for _ in range(80):
        optimiser.zero_grad()
        recogniser.loss(batch).backward()
        optimiser.step()
    folder = tmp_path_factory.mktemp("start")
    save_model(recogniser, folder, {"temperature": 1.25, "figures": {"cer": 0.5}})
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder to work in, with images of all `TEXTS` in `images`."""
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    for text in TEXTS:
        Path(f"images/{text}.png").write_bytes(encode(drawn(text)))
    return tmp_path


ROWS = [(f"{text}.png", text) for text in TEXTS]


def write_table(rows=ROWS, header=("image", "label")):
    with Path("images/mine.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return Path("images/mine.csv")


def lines_of(start, **table):
    return load_table(write_table(**table), None, load_model(start, "xo "))


def test_fine_tuning_gives_a_model_that_reads_a_new_letter(home, start, monkeypatch, capsys):
    monkeypatch.setattr(fine_tuning, "LEARNING_RATE", 2e-2)
    monkeypatch.setattr(fine_tuning, "MAX_PASSES", 32)
    monkeypatch.setattr(fine_tuning, "MAX_EPOCHS", 4)
    Path("images/bad.png").write_bytes(b"no image")
    start = shutil.copytree(start, home / "start")
    (start / LANGUAGE_MODEL).write_bytes(b"of the start")
    extra = [("bad.png", "xo"), ("xxx.png", "xxx"), ("gone.png", "o")]
    done = fine_tune(write_table([*ROWS, *extra]), Path("new/mine"), model=start, minutes=1.0)
    assert done.lines == {"train": 19, "val": 4, "test": 4}
    assert done.letters == "ß"
    assert done.before["cer"] > 0.3 > done.after["cer"]
    assert done.general_before["lines"] == done.general_after["lines"] == GENERAL_LINES
    assert [(line.id, line.reason) for line in done.skipped] == [
        ("csv-000029", "not an image, or damaged"),
        ("csv-000030", "repeated image: csv-000002"),
        ("csv-000031", "image is missing: gone.png"),
    ]
    assert read_skipped(Path("new/mine")) == done.skipped
    assert [path.name for path in Path("new").iterdir()] == ["mine"]
    assert capsys.readouterr().out == ""

    card = read_card(Path("new/mine"))
    assert card["alphabet"] == "xo ß"
    assert card["temperature"] == 1.25
    assert card["figures"] == {
        "before": done.before, "after": done.after,
        "general_before": done.general_before, "general_after": done.general_after,
    }  # fmt: skip
    assert card["training"][-1]["share"] == done.share
    assert card["provenance"]["started_from"] == read_card(start)["weights"]
    assert [phase["stage"] for phase in card["training"]] == ["adapt"]
    assert str(home) not in Path("new/mine/model.json").read_text(encoding="utf-8")

    assert (Path("new/mine") / LANGUAGE_MODEL).read_bytes() == b"of the start"
    (Path("new/mine") / LANGUAGE_MODEL).unlink()
    readings = Reader("new/mine").read_many((f"images/{text}.png" for text in TEXTS), line=True)
    right = [reading.text == text for reading, text in zip(readings, TEXTS, strict=True)]
    assert sum(right) > 18
    assert isinstance(load_model(Path("new/mine"), "xo ß"), NetchuSmall)


def test_weights_are_interpolated(start):
    one = load_model(start, "xo ")
    other = load_model(start, "xo ")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1.0)
    assert SHARES[-1] == 1.0
    for share in (0.0, *SHARES):
        mixed = interpolate_weights(one, other, share)
        assert not mixed.training
        for name, weight in dict(mixed.named_parameters()).items():
            torch.testing.assert_close(weight, dict(one.named_parameters())[name] + share)
    assert all(torch.equal(weight, load_model(start, "xo ").state_dict()[name])
               for name, weight in one.state_dict().items())  # fmt: skip


@pytest.fixture
def rated(start, monkeypatch):
    """Return a function that chooses a share, given CERs of both sets before and by share."""

    def choose(val, general):
        rates = {"val": val, "general": general}
        monkeypatch.setattr(fine_tuning, "interpolate_weights", lambda one, other, share: share)
        monkeypatch.setattr(fine_tuning, "round_weights", lambda share: share)

        def cer(network, lines):
            place = SHARES.index(network) + 1 if network in SHARES else 0
            return rates[lines.attrs["name"]][place]

        monkeypatch.setattr(fine_tuning, "_cer", cer)
        tables = [as_table([]) for _ in rates]
        for table, name in zip(tables, rates, strict=True):
            table.attrs["name"] = name
        return fine_tuning._choose_share("start", "trained", *tables, Path("mine.csv"))[0]

    return choose


@pytest.mark.parametrize(
    ("val", "general", "share"),
    [
        ((0.5, 0.4, 0.3, 0.2, 0.1), (0.20, 0.20, 0.20, 0.20, 0.20), 1.0),
        ((0.5, 0.4, 0.3, 0.2, 0.1), (0.20, 0.20, 0.2099, 0.2101, 0.25), 0.5),
        ((0.5, 0.4, 0.3, 0.2, 0.1), (0.20, 0.22, 0.22, 0.20, 0.22), 0.75),
        ((0.5, 0.3, 0.3, 0.4, 0.5), (0.20, 0.20, 0.20, 0.20, 0.20), 0.5),
        ((0.5, 0.5, 0.5, 0.5, 0.49), (0.20, 0.10, 0.10, 0.10, 0.10), 1.0),
    ],
)
def test_the_share_that_reads_best_without_forgetting_is_chosen(rated, val, general, share):
    assert rated(val, general) == share


def test_a_training_that_only_forgets_is_refused(rated):
    with pytest.raises(NetchuError, match=r"read worse by more than 1\.0 %, so nothing"):
        rated((0.5, 0.4, 0.3, 0.2, 0.1), (0.20, 0.22, 0.23, 0.24, 0.25))
    with pytest.raises(NetchuError, match=r"did not help \(50\.0 % CER before, 50\.0 % after"):
        rated((0.5, 0.6, 0.5, 0.7, 0.8), (0.20, 0.22, 0.20, 0.24, 0.25))


@pytest.mark.parametrize(("after", "forgets"), [(0.1, False), (0.2099, False), (0.2101, True)])
def test_more_than_a_point_is_forgetting(after, forgets):
    rates = {"cer": 0.2}
    done = FineTuning({}, "", [], rates, rates, rates, {"cer": after}, 1.0)
    assert done.forgets == forgets


def test_general_lines_are_of_the_alphabet_and_the_same_again():
    lines = general_lines(12, 3, "abcdefghinouôưđ tT,0123")
    assert len(lines) == 12
    assert lines["id"].is_unique
    assert set("".join(lines["text"])) <= set("abcdefghinouôưđ tT,0123")
    assert lines["writer"].nunique() == 4
    assert lines["text"].str.len().mean() > 5
    assert lines.equals(general_lines(12, 3, "abcdefghinouôưđ tT,0123"))
    assert not lines["text"].equals(general_lines(12, 4, "abcdefghinouôưđ tT,0123")["text"])
    for image, width, height in zip(lines["image"], lines["width"], lines["height"], strict=True):
        assert decode(image, "line").shape == (height, width)


def test_the_fonts_of_general_lines_have_all_letters():
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    assert [missing_characters(ALPHABET, folder / font) for font in FONTS] == [""] * 4


def test_general_lines_need_letters_of_vietnamese():
    with pytest.raises(NetchuError, match="too few letters of Vietnamese"):
        general_lines(3, 0, "αβγ")


def test_confidences_are_fitted_only_to_enough_validation_lines(start, tmp_path):
    recogniser = fine_tuning.load_model(start, "xo ")
    card = {"temperature": 1.25, "scales": {"characters": [0.5, 0.1], "lines": [0.7, 0.2]}}
    lines = [Line(str(n), encode(drawn(text)), text, "", "mine", "line", "val", 64, 32)
             for n, text in enumerate(["xox", "oxo", "xxo", "oxx", "ooo"] * 12)]  # fmt: skip
    val = as_table(lines)
    language = tmp_path / LANGUAGE_MODEL
    texts = [line.text for line in lines]
    write_language_model(mixture_components(Corpora(texts, texts, texts, texts)), language)
    few = fine_tuning._fit_confidences(recogniser, val[:49], language, card)
    assert few == card
    assert fine_tuning._fit_confidences(recogniser, val[:49], None, {}) == {"temperature": 1.0}
    many = fine_tuning._fit_confidences(recogniser, val, language, card)
    assert many.keys() == card.keys()
    assert many["temperature"] != 1.25
    assert many["scales"] != card["scales"]
    assert "scales" not in fine_tuning._fit_confidences(recogniser, val, None, card)


def test_new_letters_do_not_change_the_old_logits(start):
    old = load_model(start, "xo ")
    new = extend_alphabet(old, "ßł")
    assert new.alphabet == "xo ßł"
    images = torch.rand(2, 1, 32, 64)
    with torch.inference_mode():
        before, after = old(images), new(images)
    torch.testing.assert_close(after[..., :4], before)
    mean = before[..., 1:].mean(-1)
    torch.testing.assert_close(after[..., 4:], torch.stack([mean, mean], -1))
    same = extend_alphabet(old, "").state_dict()
    assert all(torch.equal(same[name], weight) for name, weight in old.state_dict().items())


def test_the_shortcut_head_gets_new_letters_too(start):
    torch.manual_seed(3)
    new = extend_alphabet(NetchuSmall(NetchuSmallConfig(**MODEL | {"shortcut": 0.5}), "xo "), "ß")
    assert new.shortcut_head.out_channels == new.codec.size == 5


def test_lines_are_held_out_by_writer_if_there_are_ten_and_else_by_text(home, start):
    header = ("image", "label", "writer")
    few = [(image, text, f"hand {n % 9}") for n, (image, text) in enumerate(ROWS)]
    many = [(image, text, f"hand {n % 12}") for n, (image, text) in enumerate(ROWS)]
    split_hands = []
    for rows in (few, many):
        lines, skipped = lines_of(start, rows=rows, header=header)
        assert set(lines["split"]) == {"train", "val", "test"}
        assert skipped == []
        split_hands.append((lines.groupby("writer")["split"].nunique() > 1).any())
    assert split_hands == [True, False]


def test_equal_texts_are_in_the_same_split(home, start):
    write_table()
    for text in TEXTS:
        Path(f"images/{text}-2.png").write_bytes(encode(255 - (255 - drawn(text)) // 2))
    again = [(f"{text}-2.png", text) for text in TEXTS]
    lines, _ = lines_of(start, rows=ROWS + again)
    assert len(lines) == 54
    assert lines.groupby("text")["split"].nunique().max() == 1


def test_composed_and_decomposed_labels_are_the_same_text(home, start):
    rows = [(image, f"ti\u1ebfng {text[:1]}{n}") for n, (image, text) in enumerate(ROWS)]
    apart = [(image, label.replace("\u1ebf", "e\u0302\u0301")) for image, label in rows]
    recogniser = load_model(start, "xo ")
    for wide in Path("images").glob("*.png"):
        wide.write_bytes(encode(np.hstack([decode(wide.read_bytes(), ""), drawn("xxxxxxx")])))
    composed, _ = load_table(write_table(rows), None, recogniser)
    decomposed, _ = load_table(write_table(apart), None, recogniser)
    assert list(decomposed["text"]) == list(composed["text"]) == [label for _, label in rows]


def test_a_label_too_long_for_its_line_is_skipped(home, start):
    rows = [*ROWS[1:], ("xxx.png", "x" * 40)]
    lines, (skipped,) = lines_of(start, rows=rows)
    assert len(lines) == 26
    assert skipped.id == "csv-000028"
    assert skipped.reason.startswith("too short for CTC")


def test_wide_margins_are_cropped_as_in_reading(home, start):
    wide_HW = np.pad(drawn("xxo"), 64, constant_values=235)
    Path("images/xxo.png").write_bytes(encode(wide_HW))
    lines, _ = lines_of(start)
    heights = lines.set_index("text")["height"]
    assert heights["xxo"] < 64
    assert (heights.drop("xxo") == 32).all()


def test_an_unprintable_label_is_skipped(home, start):
    _, (skipped,) = lines_of(start, rows=[*ROWS[1:], ("xxx.png", "x\u0007o")])
    assert skipped.reason == "not printable: 'x\\x07o'"


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"header": ("picture", "label")}, "column 'image' is missing"),
        ({"rows": []}, "0 lines with different texts are too few"),
        ({"rows": ROWS[:1]}, "1 lines with different texts are too few"),
        ({"rows": [(image, "xo") for image, _ in ROWS]}, "1 lines with different texts"),
        ({"rows": [(f"no/{image}", text) for image, text in ROWS]}, "27 more were left out"),
    ],
)
def test_an_unusable_table_is_an_error_of_one_line(home, start, table, complaint):
    path = write_table(**table)
    with pytest.raises(NetchuError) as error:
        fine_tune(path, Path("new"), model=start)
    assert complaint in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not Path("new").exists()


def test_images_may_be_in_another_folder(home, start):
    table = write_table([(f"images/{image}", text) for image, text in ROWS])
    lines, skipped = load_table(table, home, load_model(start, "xo "))
    assert (len(lines), skipped) == (27, [])


def test_training_that_does_not_lower_the_cer_writes_nothing(home, start, monkeypatch):
    monkeypatch.setattr(fine_tuning, "LEARNING_RATE", 0.0)
    with pytest.raises(NetchuError, match=r"did not help \(.* on the 4 validation lines"):
        fine_tune(write_table(), Path("new/mine"), model=start, minutes=0.01)
    assert list(Path("new").iterdir()) == []


def test_ctrl_c_leaves_no_files(home, start, monkeypatch):
    def stopped(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(NetchuSmall, "training_step", stopped)
    with pytest.raises(KeyboardInterrupt):
        fine_tune(write_table(), Path("new/mine"), model=start, minutes=0.01)
    assert list(Path("new").iterdir()) == []


def test_an_existing_folder_is_not_overwritten(home, start):
    with pytest.raises(NetchuError, match="images exists already"):
        fine_tune(write_table(), Path("images"), model=start)


def test_an_unwritable_folder_is_found_before_training(home, start):
    Path("file").write_text("")
    with pytest.raises(NetchuError, match="file/mine cannot be written"):
        fine_tune(write_table(), Path("file/mine"), model=start)


def test_only_ctc_networks_can_be_fine_tuned(home, start, monkeypatch):
    monkeypatch.setattr(fine_tuning, "load_model", lambda *wanted: SimpleNamespace(network="trocr"))
    with pytest.raises(NetchuError, match="trocr cannot be fine-tuned"):
        fine_tune(write_table(), Path("new"), model=start)


def test_a_folder_without_a_model_is_named(home):
    with pytest.raises(NetchuError, match="images holds no model"):
        fine_tune(write_table(), Path("new"), model=Path("images"))
