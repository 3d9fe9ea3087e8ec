"""The contract of every recogniser: a LightningModule that learns from and reads lines.

The families in `ctc/` and `attention/` implement most of it. Shapes in names: B batch,
C channels, H height, W width, T time steps, V classes, L text length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import jiwer
import lightning as L
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from netchu.core.errors import NetchuError
from netchu.core.params import PhaseParams
from netchu.data.batches import LineBatch
from netchu.decoding.readings import Reading
from netchu.imaging.preparation import Preprocessing
from netchu.models.optimisation import optimiser_and_schedule


class Recogniser(L.LightningModule, ABC):
    """A network that reads lines.

    A system says in one file what is different about it: its config dataclass, its network, and
    whatever of the methods below its family does not settle.
    """

    network: ClassVar[str]
    config_class: ClassVar[type[Any]]
    levels: ClassVar[tuple[str, ...]] = ("word", "line")
    """What it can be asked to read; the others are not put to it."""
    any_height: ClassVar[bool] = False
    """Whether it can learn from lines of another height than its own."""

    def __init__(self, config: Any, alphabet: str) -> None:
        super().__init__()
        self.config = config
        self.alphabet = alphabet
        self.phase: PhaseParams | None = None
        self._val_pairs: list[tuple[str, str]] = []

    @property
    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """How photos are prepared for this network."""

    @abstractmethod
    def loss(self, batch: LineBatch) -> Tensor:
        """Mean training loss of a batch, a scalar."""

    @abstractmethod
    def transcribe(self, batch: LineBatch) -> list[Reading]:
        """Read a batch; one reading for each image, in order."""

    @abstractmethod
    def rejection_reason(self, text: str, width: int) -> str:
        """Why a line of prepared `width` cannot teach `text` to this network; '' if it can."""

    def part(self, name: str) -> nn.Module:
        """The part of the network that `freeze: name` means."""
        found = getattr(self, name, None)
        if not isinstance(found, nn.Module):
            parts = ", ".join(n for n, _ in self.named_children())
            raise NetchuError(f"{self.network} has no part {name!r} to freeze; it has: {parts}")
        return found

    def save(self, folder: Path) -> None:
        """Write the weights into an existing folder; `load` of the same class reads them."""
        from safetensors.torch import save_file

        weights = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        save_file(weights, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path, config: Any, alphabet: str) -> Recogniser:
        """A recogniser with the weights that `save` wrote."""
        from safetensors.torch import load_file

        recogniser = cls(cls.without_pretrained(config), alphabet)
        recogniser.load_state_dict(load_file(folder / "model.safetensors"))
        recogniser.config = config
        return recogniser

    @classmethod
    def without_pretrained(cls, config: Any) -> Any:
        """`config` without what would fetch first weights: `load` overwrites them anyway."""
        return config

    def origin(self) -> Path | None:
        """The model directory whose weights it began with; None if they were drawn or fetched."""
        return None

    def load_pretrained(self, folder: Path) -> None:
        """Take over the weights of a model directory; what it lacks keeps its own.

        Raises:
            NetchuError: no weights there, or others than this network's.
        """
        from safetensors.torch import load_file

        try:
            known = load_file(folder / "model.safetensors")
        except (OSError, SafetensorError) as error:
            raise NetchuError(f"{folder} holds no weights to begin with ({error})") from None
        own = self.state_dict()
        for name, weight in known.items():
            if name not in own or own[name].shape != weight.shape:
                raise NetchuError(
                    f"{folder}: {name} {tuple(weight.shape)} is no weight of this {self.network}; "
                    "give it the config that stands in the folder's model.json"
                )
        self.load_state_dict(own | known)

    def configure_for(self, texts: Sequence[str]) -> None:
        """Learn what depends on the training texts (a greatest length, say); nothing by default."""

    def config_dict(self) -> dict[str, Any]:
        """The config as plain values, for model.json."""
        return asdict(self.config)

    # What Lightning calls. `phase` is set by training/fitting.py before a fit.

    def training_step(self, batch: LineBatch, batch_idx: int) -> Tensor:
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True,
                 batch_size=len(batch.texts), sync_dist=True)  # fmt: skip
        return loss

    def validation_step(self, batch: LineBatch, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch), batch_size=len(batch.texts), sync_dist=True)
        readings = self.transcribe(batch)
        self._val_pairs += [(t, r.text) for t, r in zip(batch.texts, readings, strict=True)]

    def on_validation_epoch_end(self) -> None:
        truths, texts = zip(*self._val_pairs, strict=True)
        self._val_pairs = []
        cer = jiwer.cer(list(truths), list(texts))
        self.log("val_cer", cer, prog_bar=True, sync_dist=True)

    def configure_optimizers(self) -> Any:
        if self.phase is None:
            raise NetchuError(f"{self.network} is not in a training phase; use netchu.training")
        return optimiser_and_schedule(self, self.phase)
