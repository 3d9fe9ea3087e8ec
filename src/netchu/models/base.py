"""The base class of every network: a LightningModule that is trained on lines and reads them.

The families in `ctc/` and `attention/` implement most of it. Shapes in names: B batch,
C channels, H height, W width, T time steps, V classes, L text length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import jiwer
import lightning as L
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from netchu.core.errors import NetchuError
from netchu.core.params import PhaseParams
from netchu.core.text import ends_in_loop
from netchu.data.batches import LineBatch
from netchu.decoding.readings import MAIN_VARIANT, Reading
from netchu.imaging.preparation import Preprocessing
from netchu.models.eight_bit import dequantise
from netchu.models.optimisation import optimiser_and_schedule

Transcribe = Callable[[LineBatch], list[Reading]]
"""Reads a batch: one reading for each image, in order."""


@dataclass(frozen=True)
class ValidatedBatch:
    """Mean loss, labels and readings of a validation batch."""

    loss: float
    truths: list[str]
    texts: list[str]


class Recogniser(L.LightningModule, ABC):
    """A network that reads lines.

    Each network has one file with a config dataclass and a subclass, which implements what its
    family leaves open.
    """

    network: ClassVar[str]
    """Name of the network, which is also that of its file."""
    config_class: ClassVar[type[Any]]
    levels: ClassVar[tuple[str, ...]] = ("word", "line")
    """Levels it is evaluated on."""
    any_height: ClassVar[bool] = False
    """Whether it can be trained on lines of another height than `preprocessing.height`."""

    def __init__(self, config: Any, alphabet: str) -> None:
        super().__init__()
        self.config = config
        self.alphabet = alphabet
        self.phase: PhaseParams | None = None
        self._validated: dict[int, ValidatedBatch] = {}

    @property
    @abstractmethod
    def preprocessing(self) -> Preprocessing:
        """How photos are prepared for the network."""

    @abstractmethod
    def loss(self, batch: LineBatch) -> Tensor:
        """Return the mean training loss of a batch, a scalar."""

    @abstractmethod
    def transcribe(self, batch: LineBatch) -> list[Reading]:
        """Return one reading for each image of a batch, in order."""

    @abstractmethod
    def rejection_reason(self, text: str, width: int) -> str:
        """Return why the network cannot be trained on a line; '' if it can.

        Args:
            text: the label.
            width: of the prepared image, in pixels.
        """

    def variants(self) -> dict[str, Transcribe]:
        """Return the ways it reads by name; the first one stands in the leaderboard."""
        return {MAIN_VARIANT: self.transcribe}

    def looped(self, text: str) -> bool:
        """Return whether a reading repeats itself at its end."""
        return ends_in_loop(text)

    @property
    def hub_note(self) -> str:
        """Note about its first weights for the report; '' if there is nothing to say."""
        return ""

    def part(self, name: str) -> nn.Module:
        """Return the submodule that `freeze: name` in a phase names.

        Raises:
            NetchuError: the network has no such part.
        """
        found = getattr(self, name, None)
        if not isinstance(found, nn.Module):
            parts = ", ".join(n for n, _ in self.named_children())
            raise NetchuError(f"{self.network} has no part {name!r} to freeze; it has: {parts}")
        return found

    def save(self, folder: Path) -> None:
        """Write the weights into an existing folder, for `load` of the same class."""
        from safetensors.torch import save_file

        weights = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        save_file(weights, folder / "model.safetensors")

    @classmethod
    def load(cls, folder: Path, config: Any, alphabet: str) -> Recogniser:
        """Return a recogniser with the weights that `save` wrote."""
        from safetensors.torch import load_file

        recogniser = cls(cls.without_pretrained(config), alphabet)
        recogniser.load_state_dict(dequantise(load_file(folder / "model.safetensors")))
        recogniser.config = config
        return recogniser

    @classmethod
    def without_pretrained(cls, config: Any) -> Any:
        """Return `config` without pretrained weights, for `load`, which overwrites them anyway."""
        return config

    def origin(self) -> Path | None:
        """Return the model folder that the first weights came from; None if from elsewhere."""
        return None

    def load_pretrained(self, folder: Path) -> None:
        """Copy the weights of a model folder; weights that it lacks stay as they are.

        Raises:
            NetchuError: the folder holds no weights, or weights of another network or config.
        """
        from safetensors.torch import load_file

        try:
            known = dequantise(load_file(folder / "model.safetensors"))
        except (OSError, SafetensorError) as error:
            raise NetchuError(f"{folder} holds no weights to start from ({error})") from None
        own = self.state_dict()
        for name, weight in known.items():
            if name not in own or own[name].shape != weight.shape:
                raise NetchuError(
                    f"{folder}: {name} {tuple(weight.shape)} is no weight of this {self.network}; "
                    "use the config from the folder's model.json"
                )
        self.load_state_dict(own | known)

    def configure_for(self, texts: Iterable[str]) -> None:
        """Set what depends on the training texts, such as a maximum length; nothing by default."""

    def config_dict(self) -> dict[str, Any]:
        """Return the config as plain values, for model.json."""
        return asdict(self.config)

    # Hooks of Lightning. `training.phase.fit_phase` sets `phase`. A callback of tracking sends
    # metrics to the logger, with the steps that history.csv has; Lightning's differ by one.

    def training_step(self, batch: LineBatch, batch_idx: int) -> Tensor:
        loss = self.loss(batch)
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True,
                 logger=False, batch_size=len(batch.texts), sync_dist=True)  # fmt: skip
        return loss

    def validation_step(self, batch: LineBatch, batch_idx: int) -> dict[str, Any]:
        loss = float(self.loss(batch))
        readings = self.transcribe(batch)
        loader: Any = self.trainer.val_dataloaders
        number = loader.batch_sampler.numbers[batch_idx]
        texts = [reading.text for reading in readings]
        self._validated[number] = ValidatedBatch(loss, list(batch.texts), texts)
        return {"readings": readings}

    def on_validation_epoch_end(self) -> None:
        """Log the loss and the CER of all lines, each once, whatever the number of processes."""
        batches = self._gathered()
        self._validated = {}
        truths = [text for batch in batches for text in batch.truths]
        loss = sum(batch.loss * len(batch.truths) for batch in batches) / len(truths)
        cer = jiwer.cer(truths, [text for batch in batches for text in batch.texts])
        # The values are those of all processes already; a maximum of equal ones is exact.
        self.log("val_loss", loss, logger=False, sync_dist=True, reduce_fx="max")
        self.log("val_cer", cer, logger=False, prog_bar=True, sync_dist=True, reduce_fx="max")

    def _gathered(self) -> list[ValidatedBatch]:
        """Return the validated batches of all processes, in the order of one process."""
        shares = [self._validated]
        if self.trainer.world_size > 1:
            shares = [{} for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(shares, self._validated)
        together = {number: batch for share in shares for number, batch in share.items()}
        return [together[number] for number in sorted(together)]

    def configure_optimizers(self) -> Any:
        if self.phase is None:
            raise NetchuError(f"{self.network} has no training phase; use netchu.training")
        return optimiser_and_schedule(self, self.phase, self.trainer.accumulate_grad_batches)
