"""Fetch handwriting fonts that cover Vietnamese, under the SIL Open Font License.

The fonts are npm packages, pinned with their hashes in `package-lock.json`. The lock file names no
registry; npm uses the configured one. Fetched fonts are `<family>/<file>.ttf`, each family with its
licence.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from netchu.core.errors import NetchuError
from netchu.data.downloads import download_folder, write_manifest

NAME = "fonts"
LICENCE = "SIL Open Font License 1.1"
LOCK = Path(__file__).parent
"""Folder of `package.json` and `package-lock.json`."""


def fetch(folder: Path) -> None:
    """Install the locked packages and copy their fonts into `folder`.

    Raises:
        NetchuError: npm is missing or fails (no network, a package that changed), or the folder
            cannot be written.
    """
    with download_folder(folder, NAME) as partial:
        with tempfile.TemporaryDirectory() as temporary:
            packages = _install(Path(temporary))
            for package in sorted(p for p in packages.iterdir() if p.is_dir()):
                _copy_family(package, partial / package.name)
        write_manifest(partial, NAME, LICENCE)


def _install(folder: Path) -> Path:
    """Run `npm ci` in `folder`; return the folder with one package per family."""
    npm = shutil.which("npm")
    if npm is None:
        raise NetchuError(
            "fonts: npm is not installed; install it from https://nodejs.org or with "
            "'apt-get install npm', then run again"
        )
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(LOCK / name, folder / name)
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        reason = lines[0] if lines else f"exit code {result.returncode}"
        raise NetchuError(
            f"fonts: npm cannot install the locked fonts ({reason}); check the network and npm's "
            "registry"
        )
    return folder / "node_modules" / "@expo-google-fonts"


def _copy_family(package: Path, family: Path) -> None:
    family.mkdir(parents=True)
    for path in sorted(package.rglob("*.ttf")):
        shutil.copyfile(path, family / path.name)
    for path in sorted(package.glob("LICENSE*")):
        shutil.copyfile(path, family / path.name)
