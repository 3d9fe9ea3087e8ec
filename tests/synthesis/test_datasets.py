"""Generated lines: deterministic, of the given height, by writers who keep to their split."""

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest

import archives
import pen
import small_project
from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.data.line_table import Skipped, check_leaks, read_table
from netchu.data.preprocessing import split_lines
from netchu.imaging.images import decode
from netchu.synthesis import shards
from netchu.synthesis.datasets import make_line_generator
from small_project import as_table

BUNDLED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONT = {
    "text": "syllable",
    "count": 24,
    "fonts": {"train": ["sans", "bold"], "val": ["serif"], "test": ["slanted"]},
    "height": 32,
    "shares": {"train": 0.5, "val": 0.25, "test": 0.25},
}
INK = {"renderer": "ink", "text": "verse", "count": 16, "datasets": ["vnondb"], "height": 48,
       "corpora": ("data/tiny/raw/truyen_kieu",)}  # fmt: skip
VERSES = "Bà vẫn hoà, cao ngon\nba Quế sao em & mua con\nhết bao hoa sau 12 mùa\n"
INK_PROSE = INK | {"text": "prose", "words": (3, 6), "corpora": ("data/tiny/raw/vi_news",)}
COPY = {"renderer": "copy", "count": 8, "datasets": ["kalapa"], "height": 40}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """A project with fonts, photos and pen strokes; tests run inside its folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("project"))
        raw = Path("data/tiny/raw")
        files = {"sans": "DejaVuSans", "bold": "DejaVuSans-Bold", "serif": "DejaVuSerif",
                 "slanted": "DejaVuSans-Oblique", "latin": "cmr10"}  # fmt: skip
        for family, file in files.items():
            (raw / "fonts" / family).mkdir(parents=True)
            shutil.copyfile(BUNDLED / f"{file}.ttf", raw / "fonts" / family / f"{file}.ttf")
        prose = "Bà vẫn hoà, cao ngon. Bà mua con sau 12 mùa hoa ngon. Ba vẫn mua bao hoa ngon hết."
        archives.vi_news(raw / "vi_news", {"vn_news/1.txt": prose})
        archives.kalapa(raw / "kalapa", writers=[str(n) for n in range(1, 9)])
        strokes = {}
        for number in range(8):
            for writer, text in pen.WRITER_TEXTS.items():
                strokes |= pen.session_files(f"{writer}_{number}", text)
        archives.pack(raw / "vnondb" / "vnondb.tar.xz", strokes)
        (raw / "truyen_kieu").mkdir()
        (raw / "truyen_kieu" / "truyen_kieu.txt").write_text(VERSES, encoding="utf-8")
        yield


def project(seed: int = 1, **synthetic) -> Params:
    datasets = {
        name: {"source": name, "input": f"data/tiny/raw/{name}"} for name in ("kalapa", "vnondb")
    }
    return small_project.params(synthetic=synthetic, datasets=datasets, seed=seed)


def generated(params, seed=1, name="k"):
    generator = make_line_generator(project(seed, **{name: params}), name)
    return [generator.generate(index).line for index in range(params["count"])]


@pytest.mark.parametrize("params", [FONT, INK, COPY], ids=["font", "ink", "copy"])
def test_same_seed_same_bytes_and_another_seed_others(params):
    first, second, other, renamed = (
        generated(params), generated(params), generated(params, seed=2),
        generated(params, name="j"),
    )  # fmt: skip
    assert first == second
    for others in (other, renamed):
        pairs = [
            (a, b) for a, b in zip(first, others, strict=True)
            if not isinstance(a, Skipped) and not isinstance(b, Skipped)
        ]  # fmt: skip
        assert pairs
        assert all(a.image != b.image for a, b in pairs)


@pytest.mark.parametrize(
    "params", [FONT, INK, INK_PROSE, COPY], ids=["font", "ink", "prose", "copy"]
)
def test_a_pickled_generator_gives_the_same_line(params):
    generator = make_line_generator(project(k=params), "k")
    pickled = pickle.dumps(generator)
    for _ in range(2):  # as many actors of Ray do
        assert pickle.loads(pickled).generate(5) == generator.generate(5)


def test_fields_of_a_line_match_its_image_and_text():
    lines = generated(FONT)
    assert len({line.id for line in lines}) == FONT["count"]
    for line in lines:
        image = decode(line.image, line.id)
        assert image.shape == (line.height, line.width)
        assert line.height == FONT["height"]
        assert line.writer in FONT["fonts"][line.split]
        assert line.level == ("line" if " " in line.text else "word")
        assert line.source == "k"
    assert {line.split for line in lines} == {"train", "val", "test"}


def test_papers_change_the_images_but_not_the_texts():
    plain, papered = generated(FONT), generated(FONT | {"papers": ["kalapa"]})
    assert [line.text for line in plain] == [line.text for line in papered]
    assert all(a.image != b.image for a, b in zip(plain, papered, strict=True))


def test_splits_without_a_share_get_no_lines():
    only = FONT | {"shares": {"train": 1.0}, "fonts": {"train": ["sans"]}}
    assert {line.split for line in generated(only)} == {"train"}


def test_a_text_with_a_character_that_the_font_lacks_is_skipped():
    poor = FONT | {"shares": {"train": 1.0}, "fonts": {"train": ["latin"]}, "words": (3, 3)}
    skipped = [line for line in generated(poor) if isinstance(line, Skipped)]
    assert len(skipped) > FONT["count"] // 2
    assert "font latin lacks" in skipped[0].reason


def test_only_training_writers_are_rendered_and_copied():
    params = project(ink=INK, copy=COPY)
    held_out = {}
    for name in ("vnondb", "kalapa"):
        lines = split_lines(params.dataset(name), name, params.seed, [])
        held_out[name] = set(lines.loc[lines["split"] != "train", "writer"])
        assert len(held_out[name]) >= 2
    rendered = [line for line in generated(INK) if not isinstance(line, Skipped)]
    assert rendered
    assert not {line.writer for line in rendered} & held_out["vnondb"]
    assert not {line.writer for line in generated(COPY)} & held_out["kalapa"]
    assert {line.split for line in rendered} == {"train"}


def test_a_text_that_no_writer_can_write_is_skipped_with_a_reason():
    skipped = [line for line in generated(INK) if isinstance(line, Skipped)]
    assert skipped
    assert "no writer wrote what" in skipped[0].reason


def test_prose_in_pen_strokes_avoids_the_labels_of_held_out_writers(monkeypatch):
    generator = make_line_generator(project(k=INK_PROSE), "k")
    lines = [generator.generate(index).line for index in range(INK["count"])]
    texts = [line.text for line in lines if not isinstance(line, Skipped)]
    assert any("vẫn mua" in text or "vẫn hoà" in text for text in texts)
    assert generator.text_counts == {"vi_news, used": 3, "vi_news, held out": 0}
    held_out = [replace(line, text="Ba vẫn mua bao", split="val", writer="x") for line in lines
                if not isinstance(line, Skipped)]  # fmt: skip
    monkeypatch.setattr(
        "netchu.data.held_out.split_lines",
        lambda params, name, seed, skipped: as_table(held_out[:1]),
    )
    generator = make_line_generator(project(k=INK_PROSE), "k")
    assert generator.text_counts == {"vi_news, used": 2, "vi_news, held out": 1}


def test_word_sources_are_counted():
    generator = make_line_generator(project(k=INK), "k")
    counts = [generator.generate(index).word_sources for index in range(INK["count"])]
    assert any(counts)
    assert all(count > 0 for sources in counts for count in sources.values())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (FONT | {"fonts": {"train": ["sams"]}}, "unknown font 'sams'"),
        (FONT | {"fonts": {"training": ["sans"]}}, "unknown split 'training'"),
        (FONT | {"fonts": {"train": ["sans"], "val": ["sans"], "test": ["bold"]}}, "named twice"),
        (FONT | {"fonts": {"train": ["sans"]}}, "val has share 0.25 and no fonts"),
        (FONT | {"shares": {"train": 0.0}}, "all shares are 0"),
        (FONT | {"distortion": 1.5}, r"distortion: .* got 1\.5"),
        (FONT | {"height": 4}, "height: .* equal to 16"),
        (FONT | {"text": ""}, "text is missing"),
        (FONT | {"papers": ["cinema"]}, "unknown dataset 'cinema'"),
        (INK | {"datasets": []}, "pen strokes need datasets"),
        (INK | {"datasets": ["kalapa"]}, "one dataset of vnondb"),
        (COPY | {"datasets": []}, "copies need datasets"),
    ],
)
def test_errors_name_the_wrong_parameter(params, message):
    with pytest.raises(NetchuError, match=message):
        make_line_generator(project(k=params), "k")


def test_the_stage_writes_a_table_without_leaks():
    folder = shards.synthesize_table(project(k=FONT), "k")
    written = read_table(folder)
    assert folder == Path("data/tiny/synthetic/k")
    assert len(written) == FONT["count"]
    check_leaks(written)
