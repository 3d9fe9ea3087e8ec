"""Training on another machine: all that a system's training needs, in one small file.

    netchu bundle pack SYSTEM PARCEL               # where the lines are
    netchu bundle train PARCEL OUT --minutes 9     # there, as often as it takes
    netchu bundle unpack OUT                       # where the lines are

A parcel is a zip with the parameters, the training and validation lines at the greatest height
that any phase shows (grey WebP), and the weights to start from where they are another system's.
Test lines never travel. The other machine needs the source tree and what training imports: no
MLflow, no DVC, no model hub.
"""

from __future__ import annotations

import hashlib
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
from netchu.core.params import Params, PhaseParams, parse_config

if TYPE_CHECKING:  # the machine that trains loads torch in another process than this one
    import pandas as pd

    from netchu.data.line_table import Line

VERSION = 1
HEADER = "parcel.json"
PARAMS = "params.yaml"
QUALITIES = (90, 80, 70, 60, 50, 40, 30)
"""Of WebP, from hardly seen to plainly seen; the first that fits is taken."""
FILES, FILE_BYTES = 8, 15_000_000
"""The most files of a state that a training leaves, and their size."""
_WIDEST = 16383  # pixels that WebP can hold
_SAMPLE = 100  # lines whose sizes stand for all


@dataclass(frozen=True)
class Parcel:
    """What a parcel says of itself, and its params. digest: SHA-256 of the file."""

    header: dict[str, Any]
    params: Params
    digest: str

    @property
    def system(self) -> str:
        """The system that it trains."""
        return str(self.header["system"])


def stages(params: Params, system: str) -> tuple[str, ...]:
    """The stages of a system's training; the pretraining of another system only travels along."""
    start = params.system(system).start or system
    return ("pretrain", "finetune") if start == system else ("finetune",)


def phases(params: Params, system: str) -> list[PhaseParams]:
    """All phases of those stages."""
    settings = params.system(system)
    return [phase for stage in stages(params, system) for phase in getattr(settings, stage)]


def pack(params: Params, system: str, out: Path, megabytes: float) -> dict[str, Any]:
    """Write the parcel of `system`, at most so many million bytes, to `out`; return its header.

    Raises:
        NetchuError: a table or the weights to start from are missing, or they do not fit.
    """
    from netchu.core.files import hash_folder

    limit = int(megabytes * 1e6)
    tables = _tables(params, system)
    height = _height(params, system)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        root = Path(folder) / "parcel"
        root.mkdir()
        _bring_start(params, system, root)
        (root / PARAMS).write_text(yaml.safe_dump(asdict(params)), encoding="utf-8")
        room = limit - _size(root)
        quality = _write_tables(params, tables, root, height, room)
        header = {
            "version": VERSION, "system": system, "height": height, "quality": quality,
            "datasets": {
                name: {"lines": len(table), "bytes": _size(root / params.lines / name),
                       "packed_from": hash_folder(params.lines / name)}
                for name, table in tables.items()
            },
        }  # fmt: skip
        (root / HEADER).write_text(json.dumps(header, indent=1), encoding="utf-8")
        whole = Path(folder) / "whole.zip"
        with zipfile.ZipFile(whole, "w") as file:
            for path in sorted(p for p in root.rglob("*") if p.is_file()):
                file.write(path, path.relative_to(root))
        whole.replace(out)
    return header


def unpack_into(path: Path, folder: Path) -> Parcel:
    """Lay a parcel out in `folder` as a project's tree.

    Raises:
        NetchuError: no parcel, a damaged one, or one of another version.
    """
    try:
        with zipfile.ZipFile(path) as file:
            header = json.loads(file.read(HEADER))
            if header["version"] != VERSION:
                raise NetchuError(
                    f"{path} is a parcel of version {header['version']}, this code reads version "
                    f"{VERSION}; pack it again"
                )
            file.extractall(folder)
    except FileNotFoundError:
        raise NetchuError(f"{path} is not here; 'netchu bundle pack' makes it") from None
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise NetchuError(f"{path} is no parcel or is damaged ({error}); pack it again") from None
    params = parse_config(
        Params, yaml.safe_load((folder / PARAMS).read_text(encoding="utf-8")), str(path)
    )
    return Parcel(header, params, hashlib.sha256(path.read_bytes()).hexdigest())


def _tables(params: Params, system: str) -> dict[str, pd.DataFrame]:
    """Training and validation lines of every dataset, of the levels that some phase shows."""
    from netchu.data.line_table import read_table

    levels: dict[str, set[str]] = {}
    for phase in phases(params, system):
        for name in phase.datasets:
            levels.setdefault(name, set()).update(phase.levels)
    tables = {name: read_table(params.lines / name) for name in sorted(levels)}
    return {
        name: table[table["split"].isin(("train", "val")) & table["level"].isin(levels[name])]
        for name, table in tables.items()
    }


def _height(params: Params, system: str) -> int:
    """The greatest height in pixels that a phase shows; refuses a state that cannot come back."""
    from netchu.training.loop import phase_preprocessing
    from netchu.training.phases import fresh

    recogniser = fresh(params, system)
    shown = phases(params, system)
    _check_state(system, sum(p.numel() for p in recogniser.parameters()), shown)
    return max((phase_preprocessing(recogniser, phase).height for phase in shown), default=1)


def _check_state(system: str, parameters: int, shown: list[PhaseParams]) -> None:
    # Weights, two moments, perhaps their mean; then the best weights of every phase or fold.
    kept = 3 + any(phase.ema_decay for phase in shown) + sum(phase.folds for phase in shown)
    size = 4 * parameters * kept
    if size > (FILES - 1) * FILE_BYTES:
        raise NetchuError(
            f"{system} has {parameters / 1e6:.1f} million parameters: the state of its training "
            f"is {size / 1e6:.0f} MB, more than fits into {FILES - 1} files of "
            f"{FILE_BYTES / 1e6:.0f} MB; make the network or the number of its phases smaller"
        )


def _bring_start(params: Params, system: str, root: Path) -> None:
    """Copy the pretrained model of another system where `system` starts from one."""
    from netchu.models.model_folder import read_card

    start = params.system(system).start or system
    if start != system:
        folder = params.model_folder(start, "pretrain")
        read_card(folder)
        shutil.copytree(folder, root / folder)


def _write_tables(
    params: Params, tables: dict[str, pd.DataFrame], root: Path, height: int, room: int
) -> int:
    """Write the tables at the first quality whose bytes fit into `room`; return the quality.

    Raises:
        NetchuError: they fit at none.
    """
    from netchu.data.line_table import write_table

    for quality in QUALITIES:
        weights = {name: _estimate(table, height, quality) for name, table in tables.items()}
        if sum(weights.values()) > room:
            continue
        for name, table in tables.items():
            folder = root / params.lines / name
            folder.parent.mkdir(parents=True, exist_ok=True)
            write_table(_smaller(table, height, quality), folder)
        if _size(root / params.lines) <= room:
            return quality
    told = ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in weights.items())
    raise NetchuError(
        f"the lines do not fit into {room / 1e6:.1f} MB even at quality {QUALITIES[-1]} ({told}); "
        "leave a dataset out, lower its limit or the phases' heights, or allow more --megabytes"
    )


def _estimate(table: pd.DataFrame, height: int, quality: int) -> int:
    every = max(1, len(table) // _SAMPLE)
    sample = table.iloc[::every]
    drawn = sum(len(line.image) for line in _smaller(sample, height, quality))
    return drawn * len(table) // max(1, len(sample))


def _smaller(table: pd.DataFrame, height: int, quality: int) -> Iterator[Line]:
    """The lines of a table, no higher than `height` pixels, their images in WebP."""
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
        if size[0] <= _WIDEST:
            _, encoded = cv2.imencode(".webp", image_HW, [cv2.IMWRITE_WEBP_QUALITY, quality])
            line = replace(line, image=encoded.tobytes(), width=size[0], height=size[1])
        yield line


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
