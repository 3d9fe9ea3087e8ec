"""The checkpoints and models of a training as a few small files, to carry between machines.

An archive is a folder of at most `MAX_FILES` files of at most `MAX_FILE_BYTES`: `archive.json`
(progress, and what the checkpoints belong to), `archive.<digest>.<n>` (parts of a zip of
checkpoints and finished models) and `best`, a model folder of the best weights so far.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netchu.core.errors import NetchuError
from netchu.core.files import new_folder, read_json, write_json
from netchu.core.params import Params
from netchu.core.paths import CARD, CHECKPOINTS, MODELS
from netchu.training.stage_info import cost_file, training_stages

ARCHIVE = "archive.json"
MAX_FILES, MAX_FILE_BYTES = 8, 15_000_000


@dataclass(frozen=True)
class SystemTraining:
    """The training of one system in the project tree under `root`."""

    root: Path
    params: Params
    system: str

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints, which are at stage/key/phase."""
        return self.root / CHECKPOINTS / self.params.profile / self.system

    def finished(self) -> dict[str, Path]:
        """Return the finished model folders by stage."""
        folders = {
            stage: self.root / self.params.model_folder(self.system, stage)
            for stage in training_stages(self.params, self.system)
        }
        # The cost is the last file that training writes.
        return {stage: path for stage, path in folders.items() if cost_file(path).exists()}

    def newest(self, *names: str) -> Path | None:
        """Return the newest file of one of these names among the checkpoints."""
        found = [path for name in names for path in self.checkpoints.rglob(name)]
        return max(found, key=lambda path: (path.stat().st_mtime_ns, path), default=None)


def save_archive(training: SystemTraining, out: Path, record: dict[str, Any]) -> int:
    """Replace the archive in `out`; return the bytes of its zip. `record` goes to archive.json.

    New parts have new names and archive.json is replaced last, so that a process killed here
    leaves the former archive whole.
    """
    content = _zip(training)
    digest = hashlib.sha256(content).hexdigest()
    out.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, start in enumerate(range(0, len(content), MAX_FILE_BYTES)):
        parts.append(f"archive.{digest[:12]}.{number}")
        (out / parts[-1]).write_bytes(content[start : start + MAX_FILE_BYTES])
    whole = record | {"profile": training.params.profile, "parts": parts, "sha256": digest}
    write_json(whole, out / ARCHIVE)
    for old in out.glob("archive.*"):
        if old.name not in (ARCHIVE, *parts):
            old.unlink()
    _save_best(training, out / "best", MAX_FILES - 1 - len(parts), record)
    return len(content)


def read_archive(out: Path) -> tuple[dict[str, Any], bytes]:
    """Return the content of archive.json in `out`, and the zip.

    Raises:
        NetchuError: a file is missing or damaged.
    """
    record = read_json(out / ARCHIVE, f"copy all files of the archive to {out}")
    try:
        content = b"".join((out / part).read_bytes() for part in record["parts"])
        intact = hashlib.sha256(content).hexdigest() == record["sha256"]
    except FileNotFoundError as error:
        raise NetchuError(
            f"{error.filename} is not here; copy all files of the archive to {out}"
        ) from None
    except (KeyError, TypeError):
        intact = False
    if not intact:
        raise NetchuError(
            f"the archive in {out} is damaged; copy its files again, or train into an empty folder"
        )
    return record, content


def restore_archive(training: SystemTraining, out: Path, identity: dict[str, Any]) -> None:
    """Extract the archive in `out` into the tree of `training`.

    Args:
        training: where the files go.
        out: folder of the archive.
        identity: what the checkpoints must belong to; see `timed_run`.

    Raises:
        NetchuError: the archive is damaged, or belongs to another training.
    """
    record, content = read_archive(out)
    if odd := [name for name, value in identity.items() if record["identity"][name] != value]:
        raise NetchuError(
            f"{out} holds a training with another {' and '.join(odd)}; resume with the former, "
            "or name an empty folder"
        )
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        file.extractall(training.root)


def unpack(out: Path) -> list[Path]:
    """Copy the finished models of the archive in `out` to the pipeline's models.

    Their cards get the header of the bundle, because its tables replaced those it was packed from.

    Returns:
        The model folders, pretraining first.

    Raises:
        NetchuError: the archive is damaged, or no stage is finished.
    """
    record, content = read_archive(out)
    home = MODELS / record["profile"] / record["header"]["system"]
    provenance = {"bundle": record["header"], "trainer": record["identity"]["trainer"]}
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(content)) as file:
        file.extractall(folder)
        cards = sorted(Path(folder, home).glob(f"*/{CARD}"), reverse=True)
        placed = [_install(card.parent, home, provenance) for card in cards]
    if not placed:
        raise NetchuError(
            f"{out}: no stage is finished yet ({record['progress']}); run 'netchu bundle train' "
            "again"
        )
    return placed


def _install(model: Path, home: Path, provenance: dict[str, Any]) -> Path:
    """Copy a model folder and its cost to `home`."""
    from netchu.models.model_card import read_card
    from netchu.models.model_folder import load_model

    load_model(model)  # raises if the weights are damaged
    card = read_card(model)
    card["provenance"] |= provenance
    write_json(card, model / CARD)
    target = home / model.name
    with new_folder(target) as partial:
        shutil.copytree(model, partial, dirs_exist_ok=True)
    shutil.copy(cost_file(model), home)
    return target


def _zip(training: SystemTraining) -> bytes:
    """Return a zip of the checkpoints that a resumed training reads, and of finished models."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for path in _files(training):
            content = _weights_only(path) if path.name == "best.ckpt" else path.read_bytes()
            file.writestr(path.relative_to(training.root).as_posix(), content)
    return buffer.getvalue()


def _files(training: SystemTraining) -> Iterator[Path]:
    for path in sorted(training.checkpoints.rglob("*")):
        phase_done = path.with_name("done.json").exists()
        if path.name in ("best.ckpt", "done.json") or (path.name == "last.ckpt" and not phase_done):
            yield path
    for folder in training.finished().values():
        yield from sorted(path for path in folder.rglob("*") if path.is_file())
        yield cost_file(folder)


def _weights_only(path: Path) -> bytes:
    """Return a checkpoint without the optimiser: a third of its bytes."""
    import torch

    from netchu.training.checkpoints import read_checkpoint

    buffer = io.BytesIO()
    torch.save({"state_dict": read_checkpoint(path)["state_dict"]}, buffer)
    return buffer.getvalue()


def _save_best(
    training: SystemTraining, folder: Path, max_files: int, record: dict[str, Any]
) -> None:
    """Write the best weights so far as a model folder, unless they exceed the limits."""
    shutil.rmtree(folder, ignore_errors=True)
    best, finished = training.newest("best.ckpt"), list(training.finished().values())
    if best:
        from netchu.models.model_folder import save_model
        from netchu.training.checkpoints import read_checkpoint
        from netchu.training.stage import build_recogniser

        recogniser = build_recogniser(training.params, training.system)
        recogniser.load_state_dict(read_checkpoint(best)["state_dict"])
        folder.mkdir()
        provenance = {"bundle": record["header"], "progress": record["progress"]}
        save_model(recogniser, folder, {"provenance": provenance, "training": []})
    elif finished:
        shutil.copytree(finished[-1], folder, ignore=shutil.ignore_patterns("*.csv"))
    else:
        return
    sizes = [path.stat().st_size for path in folder.rglob("*")]
    if len(sizes) > max_files or max(sizes) > MAX_FILE_BYTES:
        shutil.rmtree(folder)
