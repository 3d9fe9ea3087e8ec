"""Checkpoints of the Hugging Face hub, for the networks that start from one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi, try_to_load_from_cache
from transformers import logging

from netchu.core.errors import NetchuError

TINY, SMALL = "tiny", "small"
"""Names of checkpoints of random weights that are written when needed instead of fetched."""

_NOTES = {
    TINY: "tiny random checkpoint in the hub's format: shows that the code runs, not how good the "
    "system is",
    SMALL: "small checkpoint in the hub's format, pretrained here instead of published",
}


def hub_note(checkpoint: str) -> str:
    """Return the note about a checkpoint for the report; '' for a published one."""
    return _NOTES.get(checkpoint, "")


@contextmanager
def checkpoint_source(checkpoint: str | Path, write: Callable[[Path], None]) -> Iterator[str]:
    """Yield the folder or hub id to pass to `from_pretrained`.

    Transformers reports nothing while it loads a checkpoint that this package wrote.

    Args:
        checkpoint: `tiny`, `small`, a folder, or a hub id; a `Path` is a folder that `save` wrote.
        write: writes the checkpoint `tiny` or `small` into a folder, which is removed at the end.

    Raises:
        NetchuError: there is no such folder and the hub does not answer, or loading fails.
    """
    written = checkpoint in (TINY, SMALL)
    own = written or isinstance(checkpoint, Path)
    with TemporaryDirectory() as scratch, silenced() if own else nullcontext():
        if written:
            write(Path(scratch))
        try:
            _ask_hub(scratch if written else checkpoint)
            yield scratch if written else str(checkpoint)
        except (OSError, ValueError, KeyError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise NetchuError(
                f"checkpoint '{checkpoint}' cannot be loaded ({reason}); name a folder "
                f"that holds it, connect to the network, or use {TINY!r}"
            ) from None


def _ask_hub(checkpoint: str | Path) -> None:
    """Ask the hub once, because `from_pretrained` would retry for minutes, file by file."""
    if Path(checkpoint).is_dir():
        return
    if try_to_load_from_cache(str(checkpoint), "config.json"):
        return
    try:
        HfApi().model_info(str(checkpoint), timeout=10)
    except Exception as error:  # its class depends on the installed HTTP library
        raise OSError(f"no such folder, and the hub answers: {error}") from None


@contextmanager
def silenced() -> Iterator[None]:
    """Temporarily let transformers report errors only, without progress bars."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()
