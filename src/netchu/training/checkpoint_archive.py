"""The state of a training in pieces: out of a project's tree, and back into one.

A state is a folder of at most `FILES` files of at most `FILE_BYTES`: `state.json` (how far it is,
and what it belongs to), `state.<digest>.<n>` (a zip of checkpoints and finished models, in parts)
and `best`, a model directory of the best weights so far.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.core.paths import CARD, CHECKPOINTS, MODELS
from netchu.training.bundle import FILE_BYTES, FILES, stages

STATE = "state.json"


@dataclass(frozen=True)
class Work:
    """The training of a system in the project's tree under `root`."""

    root: Path
    params: Params
    system: str

    @property
    def checkpoints(self) -> Path:
        """Where the training leaves its checkpoints: stage/key/phase."""
        return self.root / CHECKPOINTS / self.params.profile / self.system

    def finished(self) -> dict[str, Path]:
        """The model directories that are done, by stage."""
        folders = {
            stage: self.root / self.params.model_folder(self.system, stage)
            for stage in stages(self.params, self.system)
        }
        # The cost is the last that training writes.
        return {stage: path for stage, path in folders.items() if _cost(path).exists()}

    def newest(self, *names: str) -> Path | None:
        """The newest checkpoint of one of these names, if a stage is under way."""
        found = [path for name in names for path in self.checkpoints.rglob(name)]
        return max(found, key=lambda path: (path.stat().st_mtime_ns, path), default=None)


def save_state(work: Work, out: Path, record: dict[str, Any]) -> int:
    """Replace the state in `out`; return its bytes. `record` is what `state.json` tells.

    New parts have new names and `state.json` is exchanged last, so that a state broken off here
    leaves the former one whole.
    """
    content = _zipped(work)
    digest = hashlib.sha256(content).hexdigest()
    out.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, at in enumerate(range(0, len(content), FILE_BYTES)):
        parts.append(f"state.{digest[:12]}.{number}")
        (out / parts[-1]).write_bytes(content[at : at + FILE_BYTES])
    passing = out / f"{STATE}.part"
    told = record | {"profile": work.params.profile, "parts": parts, "sha256": digest}
    passing.write_text(json.dumps(told, indent=1), encoding="utf-8")
    passing.replace(out / STATE)
    for old in out.glob("state.*"):
        if old.name not in (STATE, *parts):
            old.unlink()
    _save_best(work, out / "best", FILES - 1 - len(parts), record)
    return len(content)


def read_state(out: Path) -> tuple[dict[str, Any], bytes]:
    """The record of the state in `out`, and its zip.

    Raises:
        NetchuError: a file is missing or damaged.
    """
    try:
        record = json.loads((out / STATE).read_text(encoding="utf-8"))
        content = b"".join((out / part).read_bytes() for part in record["parts"])
        sound = hashlib.sha256(content).hexdigest() == record["sha256"]
    except FileNotFoundError as error:
        raise NetchuError(
            f"{error.filename} is not here: {out} holds no whole state; bring all its files"
        ) from None
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        raise NetchuError(f"the state in {out} is damaged; bring its files again, or start anew")
    return record, content


def restore_state(work: Work, out: Path, belongs: dict[str, Any]) -> None:
    """Lay the state in `out` into the tree, if it belongs to this training.

    Raises:
        NetchuError: it is damaged, or of another training.
    """
    record, content = read_state(out)
    if odd := [name for name, value in belongs.items() if record["belongs"][name] != value]:
        raise NetchuError(
            f"{out} holds a training with another {' and '.join(odd)}; go on with the former one, "
            "or give an empty folder"
        )
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        file.extractall(work.root)


def unpack(out: Path) -> list[Path]:
    """Put the finished models of a state where the pipeline has them; return their folders.

    Their cards tell of the parcel, since its tables stood in for those that it was packed from.

    Raises:
        NetchuError: the state is damaged, or no stage is finished.
    """
    record, content = read_state(out)
    home = MODELS / record["profile"] / record["header"]["system"]
    provenance = {"parcel": record["header"], "trainer": record["belongs"]["trainer"]}
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(content)) as file:
        file.extractall(folder)
        cards = sorted(Path(folder, home).glob(f"*/{CARD}"), reverse=True)
        placed = [_place(card.parent, home, provenance) for card in cards]
    if not placed:
        raise NetchuError(f"{out}: no stage is finished yet ({record['progress']}); train on")
    return placed


def _place(made: Path, home: Path, provenance: dict[str, Any]) -> Path:
    """Copy a model directory and its cost to `home`, whole or not at all."""
    from netchu.core.files import write_json
    from netchu.models.model_folder import load_model, read_card

    load_model(made)
    card = read_card(made)
    card["provenance"] |= provenance
    write_json(card, made / CARD)
    target = home / made.name
    passing = target.with_name(f"{made.name}.part")
    shutil.rmtree(passing, ignore_errors=True)
    shutil.copytree(made, passing)
    shutil.rmtree(target, ignore_errors=True)
    passing.rename(target)
    shutil.copy(_cost(made), home)
    return target


def _cost(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.cost.json")


def _zipped(work: Work) -> bytes:
    """Checkpoints, less what training does not read again, and finished models."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for path in _kept(work):
            content = _weights_only(path) if path.name == "best.ckpt" else path.read_bytes()
            file.writestr(path.relative_to(work.root).as_posix(), content)
    return buffer.getvalue()


def _kept(work: Work) -> Iterator[Path]:
    for path in sorted(work.checkpoints.rglob("*")):
        over = path.with_name("done.json").exists()
        if path.name in ("best.ckpt", "done.json") or (path.name == "last.ckpt" and not over):
            yield path
    for folder in work.finished().values():
        yield from sorted(path for path in folder.rglob("*") if path.is_file())
        yield _cost(folder)


def _weights_only(path: Path) -> bytes:
    """A checkpoint of which only the weights are read again: a third of its bytes."""
    import torch

    whole = torch.load(path, weights_only=False, map_location="cpu")
    buffer = io.BytesIO()
    torch.save({"state_dict": whole["state_dict"]}, buffer)
    return buffer.getvalue()


def _save_best(work: Work, folder: Path, files: int, record: dict[str, Any]) -> None:
    """Write the best weights so far as a model directory, unless they take too many files."""
    shutil.rmtree(folder, ignore_errors=True)
    best, finished = work.newest("best.ckpt"), list(work.finished().values())
    if best:
        import torch

        from netchu.models.model_folder import save_model
        from netchu.training.phases import fresh

        recogniser = fresh(work.params, work.system)
        kept = torch.load(best, weights_only=False, map_location="cpu")
        recogniser.load_state_dict(kept["state_dict"])
        folder.mkdir()
        provenance = {"parcel": record["header"], "progress": record["progress"]}
        save_model(recogniser, folder, {"provenance": provenance, "training": []})
    elif finished:
        shutil.copytree(finished[-1], folder, ignore=shutil.ignore_patterns("*.csv"))
    else:
        return
    sizes = [path.stat().st_size for path in folder.rglob("*")]
    if len(sizes) > files or max(sizes) > FILE_BYTES:
        shutil.rmtree(folder)
