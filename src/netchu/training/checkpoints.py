"""The checkpoints of a phase: written whole, proven readable, and recovered where they are not."""

from __future__ import annotations

import os
import sys
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from netchu.core.errors import NetchuError
from netchu.core.files import new_file, read_json, remove_partial_files

BEST, LAST, BEFORE_LAST = "best.ckpt", "last.ckpt", "before_last.ckpt"
"""The best epoch, the last one, and the one before the last."""

DONE = "done.json"
"""What a phase that ended has recorded: `rows` of its history, and `seconds`."""

ASIDE = ".damaged"
"""Suffix of a file that cannot be read and is not used."""


class DurableCheckpointIO(TorchCheckpointIO):
    """Replaces a checkpoint only when the new one is on the same disk, whole and readable.

    Lightning's own writes to `$TMPDIR` and copies the file, if that is another disk, over the
    checkpoint before. The last checkpoint is kept as `BEFORE_LAST` when another takes its place.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        path = Path(path)
        with new_file(path, durable=True) as partial:
            _save(checkpoint, partial)
            if not is_readable(partial):
                raise NetchuError(f"{path} cannot be read back; check the disk, then run again")
            if path.name == LAST and path.exists():
                _keep(path, path.with_name(BEFORE_LAST))


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    try:
        with path.open("wb") as file:
            torch.save(checkpoint, file)
    except RuntimeError as error:
        # After an error of the disk torch ends its archive, which fails with an error of torch.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _keep(path: Path, kept: Path) -> None:
    """Give a file a second name, where the file system has links; `path` exists all the time."""
    kept.unlink(missing_ok=True)
    with suppress(OSError):
        os.link(path, kept)


def is_readable(path: Path) -> bool:
    """Return whether a checkpoint is a whole archive whose checksums are right."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return False


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint, on the CPU.

    Raises:
        NetchuError: it is damaged.
    """
    if not is_readable(path):
        raise NetchuError(f"{path} is damaged; remove its folder to train the phase again")
    content: dict[str, Any] = torch.load(path, weights_only=False, map_location="cpu")
    return content


def recover_phase(folder: Path) -> None:
    """Rename the damaged files of a phase, so that it resumes from what is left.

    A damaged last checkpoint is replaced by the one before. Without the best checkpoint the phase
    starts anew, because it could not be chosen again. Prints a line about every damaged file.
    """
    remove_partial_files(folder)
    best, last, before, done = (folder / name for name in (BEST, LAST, BEFORE_LAST, DONE))
    if best.exists() and not is_readable(best):
        _set_aside(best, "the phase starts anew")
        for path in (last, before, done):
            path.unlink(missing_ok=True)
    if done.exists() and not _is_record(done):
        _set_aside(done, "the end of the phase is trained again")
    if last.exists() and not is_readable(last):
        kept = is_readable(before)
        _set_aside(last, "resuming from the one before" if kept else "the phase starts anew")
        if kept:
            before.rename(last)


def _is_record(done: Path) -> bool:
    try:
        record = read_json(done, "")
    except NetchuError:
        return False
    return isinstance(record, dict) and {"rows", "seconds"} <= record.keys()


def _set_aside(path: Path, consequence: str) -> None:
    aside = path.with_name(path.name + ASIDE)
    path.replace(aside)
    print(f"netchu: {path} is damaged and now called {aside.name}; {consequence}", file=sys.stderr)
