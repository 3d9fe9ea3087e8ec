"""Handwriting fonts that can write Vietnamese, under the SIL Open Font License.

They come as npm packages, pinned with their hashes in `npm/package-lock.json`, which names no
registry: whichever one npm is set up with serves them. Fetched fonts lie as
`<family>/<file>.ttf`, each family with its licence.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from fontTools.ttLib import TTFont, TTLibError

from netchu.core.errors import NetchuError
from netchu.data.sources.base import filling, write_manifest

NAME = "fonts"
LICENCE = "SIL Open Font License 1.1"
LOCK = Path(__file__).parent / "npm"


def fetch(folder: Path) -> None:
    """Install the locked packages and copy their fonts into `folder`.

    Raises:
        NetchuError: npm is missing, or it cannot install (no network, a changed package), or the
            folder cannot be filled.
    """
    with filling(folder, NAME) as partial:
        with tempfile.TemporaryDirectory() as temporary:
            packages = _install(Path(temporary))
            for package in sorted(p for p in packages.iterdir() if p.is_dir()):
                _copy_family(package, partial / package.name)
        write_manifest(partial, NAME, LICENCE)


def _install(place: Path) -> Path:
    """Run `npm ci` in `place`; return the folder with one package per family."""
    npm = shutil.which("npm")
    if npm is None:
        raise NetchuError(
            "fonts: npm is not installed; get it from https://nodejs.org or with "
            "'apt-get install npm', then run again"
        )
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(LOCK / name, place / name)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    result = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        reason = lines[0] if lines else f"exit code {result.returncode}"
        raise NetchuError(
            f"fonts: npm cannot install the locked fonts ({reason}); connect, or set npm's registry"
        )
    return place / "node_modules" / "@expo-google-fonts"


def _copy_family(package: Path, family: Path) -> None:
    family.mkdir(parents=True)
    for path in sorted(package.rglob("*.ttf")):
        shutil.copyfile(path, family / path.name)
    for path in sorted(package.glob("LICENSE*")):
        shutil.copyfile(path, family / path.name)


def families(folder: Path) -> dict[str, list[Path]]:
    """Family -> its font files, both in alphabetical order.

    Raises:
        NetchuError: there are no fonts in `folder`.
    """
    found = {
        family.name: files
        for family in sorted(p for p in folder.glob("*") if p.is_dir())
        if (files := sorted(family.glob("*.ttf")))
    }
    if not found:
        raise NetchuError(f"no fonts in {folder}; run 'dvc repro download@fonts'")
    return found


@lru_cache(maxsize=512)
def letters(font: Path) -> frozenset[str]:
    """The characters that `font` can draw."""
    try:
        with TTFont(font, lazy=True) as file:
            return frozenset(chr(code) for code in file.getBestCmap())
    except (TTLibError, OSError) as error:
        raise NetchuError(f"{font} is not a font ({error}); remove it and fetch anew") from None


def missing(text: str, font: Path) -> str:
    """The characters of `text` that `font` lacks, which would come out as boxes; '' if none."""
    return "".join(sorted(set(text) - letters(font)))
