"""What holds for every source: a new one is named in `fetch`, in `parse` and in BUILDERS."""

import hashlib
import inspect
import json
import re
from importlib import import_module

import pytest

from archives import BUILDERS
from netchu.core.errors import NetchuError
from netchu.core.text import check_label
from netchu.data import fetch, parse
from netchu.data.line_table import LEVELS, Line
from netchu.imaging.images import decode

NPM_SOURCES = {"fonts"}
FILES = [name for name in fetch.SOURCES if name not in NPM_SOURCES]
NAMES = sorted({*fetch.SOURCES, *parse.HANDWRITING})


def fetch_module(name):
    return import_module(f"netchu.data.fetch.{name}")


GENERATED = {"synthetic"}
LICENCES = r"research data|public domain|\(MIT\)|CC BY-SA|Open Font License|own licence"


@pytest.fixture
def fetched(monkeypatch, tmp_path):
    """Return a function that makes a tiny copy of a source, with its `fetch` if it has a file."""

    def fetch_copy(name):
        if name not in FILES:
            BUILDERS[name](tmp_path / name)
        else:
            BUILDERS[name](tmp_path / "mirror" / name)
            monkeypatch.setenv("NETCHU_MIRROR", str(tmp_path / "mirror"))
            fetch.fetch(name, tmp_path / name, {})
        return tmp_path / name

    return fetch_copy


def test_every_source_but_fonts_has_a_tiny_copy():
    assert set(BUILDERS) == set(NAMES) - NPM_SOURCES


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_names_the_licence(name):
    module = fetch_module(name) if name in fetch.SOURCES else parse.load_handwriting(name)
    assert module.__doc__.splitlines()[0].endswith(".")
    if name not in GENERATED:
        assert re.search(LICENCES, module.__doc__, re.IGNORECASE), module.__doc__
        if name in FILES:
            licence = module.SOURCE.licence.split(" without")[0]
            assert licence.lower() in module.__doc__.lower()


@pytest.mark.parametrize("name", fetch.SOURCES)
def test_options_of_fetch_have_defaults(name):
    folder, *options = inspect.signature(fetch_module(name).fetch).parameters.values()
    assert folder.default is folder.empty
    assert all(option.default is not option.empty for option in options)


@pytest.mark.parametrize("name", fetch.SOURCES)
def test_an_unknown_option_is_named_in_the_error(name, tmp_path):
    with pytest.raises(NetchuError, match=rf"sources\.{name}: unknown key 'foldr'"):
        fetch.fetch(name, tmp_path / "out", {"foldr": "x"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FILES)
def test_the_url_is_pinned_or_the_manual_download_is_described(name):
    source = fetch_module(name).SOURCE
    assert source.name == name
    if source.by_hand:
        assert not source.url
        assert "https://" in source.by_hand
    else:
        assert bool(source.url) != bool(source.parts)
        for url in (source.url, *source.parts.values()):
            assert not url or re.search(r"\b[0-9a-f]{40}\b", url)


@pytest.mark.parametrize("name", FILES)
def test_the_manifest_holds_sizes_and_hashes(name, fetched):
    folder = fetched(name)
    manifest = json.loads((folder / "manifest.json").read_text())
    source = fetch_module(name).SOURCE
    content = (folder / source.file).read_bytes()
    assert (manifest["source"], manifest["licence"]) == (name, source.licence)
    assert manifest["files"] == {
        source.file: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    }
    assert sorted(path.name for path in folder.iterdir()) == sorted([source.file, "manifest.json"])


@pytest.mark.parametrize("name", sorted(fetch.NOT_DOWNLOADED))
def test_fetching_a_source_that_is_not_downloaded_names_the_remedy(name, tmp_path):
    with pytest.raises(NetchuError, match="out") as error:
        fetch.fetch(name, tmp_path / "out", {})
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", parse.HANDWRITING)
def test_lines_are_ready_for_preprocessing(name, fetched):
    lines = list(parse.load_handwriting(name).parse(fetched(name), LEVELS))
    assert len(lines) >= 3
    assert all(isinstance(line, Line) for line in lines)
    assert len({line.id for line in lines}) == len(lines)
    for line in lines:
        check_label(line.text, line.id)
        assert decode(line.image, line.id).shape == (line.height, line.width)
        assert line.level in LEVELS
        assert line.split in ("", "test") or name in GENERATED
        assert line.source == line.id.split("-")[0]


@pytest.mark.parametrize("name", parse.HANDWRITING)
def test_only_the_given_levels_are_parsed(name, fetched):
    folder, lines = fetched(name), parse.load_handwriting(name).parse
    levels = {line.level for line in lines(folder, LEVELS)}
    assert levels
    for level in levels:
        assert {line.level for line in lines(folder, (level,))} == {level}


@pytest.mark.parametrize("name", sorted(set(FILES) & set(parse.HANDWRITING)))
def test_parsing_before_fetching_names_the_command(name, tmp_path):
    with pytest.raises(NetchuError, match="dvc repro"):
        list(parse.load_handwriting(name).parse(tmp_path, LEVELS))
