"""Fetching the locked fonts with npm, and reading them."""

import json
import shutil
from pathlib import Path

import matplotlib
import pytest

from netchu.core.errors import NetchuError
from netchu.data.fetch import fonts as fetch_fonts
from netchu.data.parse import fonts

BUNDLED = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


def test_the_lock_file_pins_every_package_by_hash_and_names_no_host():
    text = (fetch_fonts.LOCK / "package-lock.json").read_text()
    assert "http" not in text
    wanted = json.loads((fetch_fonts.LOCK / "package.json").read_text())["dependencies"]
    locked = json.loads(text)["packages"]
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
        assert locked[f"node_modules/{name}"]["integrity"].startswith("sha512-")


def test_without_npm_the_error_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NetchuError, match="npm is not installed; install it from"):
        fetch_fonts.fetch(tmp_path / "fonts")
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_npm_is_reported_in_one_line(monkeypatch, tmp_path):
    npm = tmp_path / "bin" / "npm"
    npm.parent.mkdir()
    npm.write_text("#!/bin/sh\necho 'npm error network unreachable' >&2\necho more >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", f"{npm.parent}:/bin:/usr/bin")
    with pytest.raises(NetchuError, match="network unreachable") as error:
        fetch_fonts.fetch(tmp_path / "fonts")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "fonts").exists()


def test_families_are_in_alphabetical_order(tmp_path):
    for family, file in (("b", "DejaVuSans.ttf"), ("a", "DejaVuSerif.ttf")):
        (tmp_path / family).mkdir()
        shutil.copyfile(BUNDLED / file, tmp_path / family / file)
    assert list(fonts.font_families(tmp_path)) == ["a", "b"]


def test_a_folder_without_fonts_is_an_error(tmp_path):
    with pytest.raises(NetchuError, match="no fonts"):
        fonts.font_families(tmp_path)


def test_missing_characters_are_those_without_a_glyph():
    assert fonts.missing_characters("Nguyễn", BUNDLED / "DejaVuSans.ttf") == ""
    assert fonts.missing_characters("Nguyễn", BUNDLED / "cmr10.ttf") == "ễ"


def test_a_damaged_font_is_named(tmp_path):
    (tmp_path / "x.ttf").write_bytes(b"not a font")
    with pytest.raises(NetchuError, match=r"x\.ttf"):
        fonts.covered_characters(tmp_path / "x.ttf")
