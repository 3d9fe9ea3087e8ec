"""All that the training of a system needs in one small file, to train it on another machine.

    netchu bundle pack SYSTEM BUNDLE              # where the lines are
    netchu bundle train BUNDLE OUT --minutes 9    # on the other machine, as often as needed
    netchu bundle unpack OUT                      # where the lines are

A bundle is a zip of the parameters, the training and validation lines (grey WebP, at the greatest
height that a phase uses) and, if the system starts from another one, that system's weights. It
holds no test lines. The other machine needs the source tree and the packages that training
imports: no MLflow, no DVC, no model hub.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from netchu.core.errors import NetchuError
from netchu.core.files import hash_file, hash_folder, new_file, write_json
from netchu.core.params import Params, PhaseParams, parse_config
from netchu.training import checkpoint_archive
from netchu.training.stage_info import training_phases

if TYPE_CHECKING:  # the training machine loads torch in another process than this one
    import pandas as pd

    from netchu.data.line_table import Line

VERSION = 2
HEADER = "bundle.json"
PARAMS = "params.yaml"
QUALITIES = (90, 80, 70, 60, 50, 40, 30)
"""WebP qualities, best first; the first that fits is used."""
_MAX_WEBP_WIDTH = 16383
_SIZE_SAMPLE = 100  # lines from whose bytes the size of a table is estimated


@dataclass(frozen=True)
class Bundle:
    """An extracted bundle. digest: SHA-256 of the file."""

    header: dict[str, Any]
    params: Params
    digest: str

    @property
    def system(self) -> str:
        """The system it trains."""
        return str(self.header["system"])


def pack(params: Params, system: str, out: Path, megabytes: float) -> dict[str, Any]:
    """Write the bundle of `system` to `out`; return its header.

    Args:
        params: the parameters of the project.
        system: a key of `params.systems`.
        out: the file to write.
        megabytes: its largest size in 10^6 bytes; images are compressed to fit.

    Raises:
        NetchuError: a table or the weights to start from are missing, or they do not fit.
    """
    limit = int(megabytes * 1e6)
    tables = _tables(params, system)
    height = _height(params, system)
    with new_file(out) as partial, tempfile.TemporaryDirectory(dir=out.parent) as folder:
        root = Path(folder)
        _copy_start(params, system, root)
        (root / PARAMS).write_text(yaml.safe_dump(asdict(params)), encoding="utf-8")
        quality = _write_tables(params, tables, root, height, limit - _size(root))
        header = {
            "version": VERSION, "system": system, "height": height, "quality": quality,
            "datasets": {
                name: {"lines": len(table), "bytes": _size(root / params.lines / name),
                       "packed_from": hash_folder(params.lines / name)}
                for name, table in tables.items()
            },
        }  # fmt: skip
        write_json(header, root / HEADER)
        with zipfile.ZipFile(partial, "w") as file:
            for path in sorted(p for p in root.rglob("*") if p.is_file()):
                file.write(path, path.relative_to(root))
    return header


def extract(path: Path, folder: Path) -> Bundle:
    """Extract a bundle into `folder`, which becomes a project tree.

    Raises:
        NetchuError: the file is missing, damaged, no bundle, or a bundle of another version.
    """
    try:
        with zipfile.ZipFile(path) as file:
            header = json.loads(file.read(HEADER))
            if header["version"] != VERSION:
                raise NetchuError(
                    f"{path} is a bundle of version {header['version']}, but this code reads "
                    f"version {VERSION}; pack it again"
                )
            file.extractall(folder)
    except FileNotFoundError:
        raise NetchuError(f"{path} is not here; run 'netchu bundle pack' to write it") from None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise NetchuError(f"{path} is damaged or no bundle ({error}); pack it again") from None
    content = yaml.safe_load((folder / PARAMS).read_text(encoding="utf-8"))
    return Bundle(header, parse_config(Params, content, str(path)), hash_file(path))


def _tables(params: Params, system: str) -> dict[str, pd.DataFrame]:
    """Return the training and validation lines of every dataset, of the levels that phases use."""
    from netchu.data.line_table import read_table

    levels: dict[str, set[str]] = {}
    for phase in training_phases(params, system):
        for name in phase.datasets:
            levels.setdefault(name, set()).update(phase.levels)
    return {
        name: read_table(
            params.lines / name, where={"split": ("train", "val"), "level": levels[name]}
        )
        for name in sorted(levels)
    }


def _height(params: Params, system: str) -> int:
    """Return the greatest height in pixels that a phase uses.

    Raises:
        NetchuError: the checkpoints of the training are too large for an archive.
    """
    from netchu.training.phase import phase_preprocessing
    from netchu.training.stage import build_recogniser

    recogniser = build_recogniser(params, system)
    phases = training_phases(params, system)
    _check_archive_size(system, sum(p.numel() for p in recogniser.parameters()), phases)
    return max((phase_preprocessing(recogniser, phase).height for phase in phases), default=1)


def _check_archive_size(system: str, parameters: int, phases: list[PhaseParams]) -> None:
    # Weights, two moments, perhaps the running mean; then the best weights of every phase or fold.
    copies = 3 + any(phase.ema_decay for phase in phases) + sum(phase.folds for phase in phases)
    size = 4 * parameters * copies
    files, file_bytes = checkpoint_archive.MAX_FILES - 1, checkpoint_archive.MAX_FILE_BYTES
    if size > files * file_bytes:
        raise NetchuError(
            f"{system} has {parameters / 1e6:.1f} million parameters: its checkpoints have "
            f"{size / 1e6:.0f} MB, more than fit into {files} files of {file_bytes / 1e6:.0f} MB; "
            "choose a smaller network or fewer phases"
        )


def _copy_start(params: Params, system: str, root: Path) -> None:
    """Copy the pretrained model of another system if `system` starts from one."""
    from netchu.models.model_card import read_card

    start = params.system(system).start or system
    if start != system:
        folder = params.model_folder(start, "pretrain")
        read_card(folder)  # raises if there is no model
        shutil.copytree(folder, root / folder)


def _write_tables(
    params: Params, tables: dict[str, pd.DataFrame], root: Path, height: int, limit: int
) -> int:
    """Write the tables at the best quality that fits into `limit` bytes; return the quality.

    Raises:
        NetchuError: no quality fits.
    """
    from netchu.data.line_table import write_table

    for quality in QUALITIES:
        estimates = {name: _estimate_size(table, height, quality) for name, table in tables.items()}
        if sum(estimates.values()) > limit:
            continue
        for name, table in tables.items():
            folder = root / params.lines / name
            folder.parent.mkdir(parents=True, exist_ok=True)
            write_table(_compressed(table, height, quality), folder)
        if _size(root / params.lines) <= limit:
            return quality
    sizes = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in estimates.items())
    raise NetchuError(
        f"the lines do not fit into {limit / 1e6:.1f} MB even at quality {QUALITIES[-1]} "
        f"({sizes}); omit a dataset, lower its limit or the phases' heights, or raise --megabytes"
    )


def _estimate_size(table: pd.DataFrame, height: int, quality: int) -> int:
    sample = table.iloc[:: max(1, len(table) // _SIZE_SAMPLE)]
    size = sum(len(line.image) for line in _compressed(sample, height, quality))
    return size * len(table) // max(1, len(sample))


def _compressed(table: pd.DataFrame, height: int, quality: int) -> Iterator[Line]:
    """Yield the lines of a table at most `height` pixels high, with WebP images.

    A line that is too wide for WebP stays as it is.
    """
    import cv2

    from netchu.data.line_table import SCHEMA, Line
    from netchu.imaging.images import decode

    for row in table[SCHEMA.names].itertuples(index=False):
        line = Line(**row._asdict())
        image_HW = decode(line.image, f"line {line.id}")
        scale = min(1.0, height / line.height)
        size = (max(1, round(line.width * scale)), max(1, round(line.height * scale)))
        if scale < 1:
            image_HW = cv2.resize(image_HW, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        if size[0] <= _MAX_WEBP_WIDTH:
            _, encoded = cv2.imencode(".webp", image_HW, [cv2.IMWRITE_WEBP_QUALITY, quality])
            line = replace(line, image=encoded.tobytes(), width=size[0], height=size[1])
        yield line


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
