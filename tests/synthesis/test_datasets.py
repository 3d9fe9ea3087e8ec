"""Drawn lines: deterministic, of the wanted height, by writers who keep to their split."""

import pickle
import shutil
from pathlib import Path

import archives
import matplotlib
import pytest
import small_project
from test_handwriting import TEXTS, session

from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.data.line_table import Skipped, check_leaks, read_table
from netchu.data.preprocessing import split_lines
from netchu.imaging.images import decode
from netchu.synthesis import shards
from netchu.synthesis.datasets import open_studio

BUNDLED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONT = {
    "text": "syllable",
    "count": 24,
    "fonts": {"train": ["sans", "bold"], "val": ["serif"], "test": ["slanted"]},
    "height": 32,
    "shares": {"train": 0.5, "val": 0.25, "test": 0.25},
}
INK = {"renderer": "ink", "text": "verse", "count": 16, "datasets": ["vnondb"], "height": 48,
       "corpus": "data/tiny/raw/truyen_kieu"}  # fmt: skip
VERSES = "Bà vẫn hoà, cao ngon\nba Quế sao em & mua con\nhết bao hoa sau 12 mùa\n"
COPY = {"renderer": "copy", "count": 8, "datasets": ["kalapa"], "height": 40}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """A project with fonts, photos and pen strokes; tests run inside its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("drawn"))
        raw = Path("data/tiny/raw")
        files = {"sans": "DejaVuSans", "bold": "DejaVuSans-Bold", "serif": "DejaVuSerif",
                 "slanted": "DejaVuSans-Oblique", "latin": "cmr10"}  # fmt: skip
        for family, file in files.items():
            (raw / "fonts" / family).mkdir(parents=True)
            shutil.copyfile(BUNDLED / f"{file}.ttf", raw / "fonts" / family / f"{file}.ttf")
        archives.kalapa(raw / "kalapa", writers=[str(n) for n in range(1, 9)])
        strokes = {}
        for place in range(8):
            for writer, text in TEXTS.items():
                strokes |= session(f"{writer}_{place}", text)
        archives.pack(raw / "vnondb" / "vnondb.tar.xz", strokes)
        (raw / "truyen_kieu").mkdir()
        (raw / "truyen_kieu" / "truyen_kieu.txt").write_text(VERSES, encoding="utf-8")
        yield


def project(seed: int = 1, **kinds) -> Params:
    datasets = {
        name: {"source": name, "input": f"data/tiny/raw/{name}"} for name in ("kalapa", "vnondb")
    }
    return small_project.params(synthetic=kinds, datasets=datasets, seed=seed)


def drawn(kind, seed=1, name="k"):
    studio = open_studio(project(seed, **{name: kind}), name)
    return [studio.draw(index).line for index in range(kind["count"])]


@pytest.mark.parametrize("kind", [FONT, INK, COPY], ids=["font", "ink", "copy"])
def test_same_seed_same_bytes_and_another_seed_others(kind):
    first, second, other, renamed = (
        drawn(kind), drawn(kind), drawn(kind, seed=2), drawn(kind, name="j"))  # fmt: skip
    assert first == second
    for others in (other, renamed):
        pairs = [
            (a, b) for a, b in zip(first, others, strict=True)
            if not isinstance(a, Skipped) and not isinstance(b, Skipped)
        ]  # fmt: skip
        assert pairs
        assert all(a.image != b.image for a, b in pairs)


@pytest.mark.parametrize("kind", [FONT, INK, COPY], ids=["font", "ink", "copy"])
def test_a_line_depends_on_its_index_alone_and_studios_travel(kind):
    studio = open_studio(project(k=kind), "k")
    elsewhere = pickle.loads(pickle.dumps(studio))
    assert elsewhere.draw(5) == studio.draw(5)


def test_line_fields():
    lines = drawn(FONT)
    assert len({line.id for line in lines}) == FONT["count"]
    for line in lines:
        image = decode(line.image, line.id)
        assert image.shape == (line.height, line.width)
        assert line.height == FONT["height"]
        assert line.writer in FONT["fonts"][line.split]
        assert line.level == ("line" if " " in line.text else "word")
        assert line.source == "k"
    assert {line.split for line in lines} == {"train", "val", "test"}


def test_paper_can_be_that_of_photos():
    plain, papered = drawn(FONT), drawn(FONT | {"papers": ["kalapa"]})
    assert [line.text for line in plain] == [line.text for line in papered]
    assert all(a.image != b.image for a, b in zip(plain, papered, strict=True))


def test_shares_of_zero_are_never_drawn():
    only = FONT | {"shares": {"train": 1.0}, "fonts": {"train": ["sans"]}}
    assert {line.split for line in drawn(only)} == {"train"}


def test_a_font_without_a_letter_never_draws_a_box():
    poor = FONT | {"shares": {"train": 1.0}, "fonts": {"train": ["latin"]}, "words": (3, 3)}
    skipped = [line for line in drawn(poor) if isinstance(line, Skipped)]
    assert len(skipped) > FONT["count"] // 2
    assert "font latin lacks" in skipped[0].reason


def test_only_training_writers_lend_their_strokes_and_are_copied():
    params = project(ink=INK, copy=COPY)
    held_out = {}
    for name in ("vnondb", "kalapa"):
        lines = split_lines(params.dataset(name), name, params.seed, [])
        held_out[name] = {line.writer for line in lines if line.split != "train"}
        assert len(held_out[name]) >= 2
    inked = [line for line in drawn(INK) if not isinstance(line, Skipped)]
    assert inked
    assert not {line.writer for line in inked} & held_out["vnondb"]
    assert not {line.writer for line in drawn(COPY)} & held_out["kalapa"]
    assert {line.split for line in inked} == {"train"}


def test_what_no_writer_wrote_is_skipped_and_said():
    skipped = [line for line in drawn(INK) if isinstance(line, Skipped)]
    assert skipped
    assert "no writer wrote what" in skipped[0].reason


def test_the_ways_of_the_words_are_counted():
    studio = open_studio(project(k=INK), "k")
    ways = [studio.draw(index).ways for index in range(INK["count"])]
    assert any(ways)
    assert all(count > 0 for way in ways for count in way.values())


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (FONT | {"fonts": {"train": ["sams"]}}, "unknown font 'sams'"),
        (FONT | {"fonts": {"training": ["sans"]}}, "unknown split 'training'"),
        (FONT | {"fonts": {"train": ["sans"], "val": ["sans"], "test": ["bold"]}}, "named twice"),
        (FONT | {"fonts": {"train": ["sans"]}}, "val has share 0.25 and no fonts"),
        (FONT | {"shares": {"train": 0.0}}, "all shares are 0"),
        (FONT | {"distortion": 1.5}, "distortion 1.5"),
        (FONT | {"height": 4}, "height 16"),
        (FONT | {"text": ""}, "text is missing"),
        (FONT | {"papers": ["cinema"]}, "unknown dataset 'cinema'"),
        (INK | {"datasets": []}, "pen strokes need datasets"),
        (INK | {"datasets": ["kalapa"]}, "one dataset of vnondb"),
        (COPY | {"datasets": []}, "copies need datasets"),
    ],
)
def test_wrong_parameters_name_the_culprit(kind, message):
    with pytest.raises(NetchuError, match=message):
        open_studio(project(k=kind), "k")


def test_the_stage_writes_a_table_without_leaks():
    folder = shards.synthesize_table(project(k=FONT), "k")
    written = read_table(folder)
    assert folder == Path("data/tiny/synthetic/k")
    assert len(written) == FONT["count"]
    check_leaks(written)
