"""What the two systems that start from a hub checkpoint share: finding it, and saying so."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi, try_to_load_from_cache
from transformers import logging

from netchu.core.errors import NetchuError

TINY = "tiny"
"""The checkpoint that is written on the spot instead of fetched: random weights, few of them."""

TINY_NOTE = (
    "tiny random checkpoint in the hub's format: "
    "shows that the code runs, not how good the system is"
)


@contextmanager
def checkpoint_source(checkpoint: str | Path, write_tiny: Callable[[Path], None]) -> Iterator[str]:
    """What `from_pretrained` is to be given for `checkpoint`: a directory or a hub id.

    For `tiny` a random checkpoint is written by `write_tiny` into a directory that lives as long
    as the context; it is then loaded by the same code as any other. A `Path` is a folder that
    `save` wrote. Both are loaded without the loader's report and bars, which tell no news of them.

    Raises:
        NetchuError: the checkpoint is no directory and the hub does not answer, or what was found
            is no such checkpoint.
    """
    own = checkpoint == TINY or isinstance(checkpoint, Path)
    with TemporaryDirectory() as scratch, quiet() if own else nullcontext():
        if checkpoint == TINY:
            write_tiny(Path(scratch))
        try:
            _ask_hub(checkpoint)
            yield scratch if checkpoint == TINY else str(checkpoint)
        except (OSError, ValueError, KeyError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise NetchuError(
                f"checkpoint '{checkpoint}' cannot be loaded ({reason}); pass a directory that "
                f"holds it, set up the network, or use {TINY!r}"
            ) from None


def _ask_hub(checkpoint: str | Path) -> None:
    """Ask once whether the hub has it: `from_pretrained` would retry for minutes, file by file."""
    if checkpoint == TINY or Path(checkpoint).is_dir():
        return
    if try_to_load_from_cache(str(checkpoint), "config.json"):
        return
    try:
        HfApi().model_info(str(checkpoint), timeout=10)
    except Exception as error:  # what it raises depends on the HTTP library of the day
        raise OSError(f"no such directory, and the hub says: {error}") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Within, transformers reports errors alone and draws no bars."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        logging.enable_progress_bar()
