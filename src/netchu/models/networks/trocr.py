"""TrOCR (Li et al. 2021, source project 4): a ViT encoder and a text decoder.

The layers are those of the published checkpoint. Its tokeniser, which is not suited to Vietnamese,
is replaced by one with a token per character (`char_tokenizer`). The embedding of a character is
the mean of those of the checkpoint's tokens for it, so plain letters keep theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    GenerationConfig,
    LogitsProcessorList,
    TrOCRProcessor,
    VisionEncoderDecoderModel,
)

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.core.params import AtLeastOne, Strict
from netchu.data.batches import LineBatch
from netchu.decoding.readings import Reading, joint_probability
from netchu.imaging.preparation import Preprocessing
from netchu.models.base import Recogniser
from netchu.models.ctc_loss import CTCHead
from netchu.models.hub import SMALL, checkpoint_source, hub_note, silenced
from netchu.models.hub.char_tokenizer import BOS, EOS, PAD, SPECIALS, UNK, char_tokenizer
from netchu.models.hub.joint_decoding import joint_decoding
from netchu.models.hub.own_checkpoints import OwnSize, write_trocr

BOS_ID, PAD_ID, EOS_ID, UNK_ID = (SPECIALS.index(token) for token in (BOS, PAD, EOS, UNK))
IGNORED = -100
MARGIN = 1.1


@dataclass(frozen=True)
class TrOCRSettings(Strict):
    """Config."""

    checkpoint: str = "microsoft/trocr-base-handwritten"
    """A folder, a model id of the hub, `small` for a checkpoint of random weights that pretraining
    teaches, or `tiny` for one that only shows that the code runs."""

    image_height: int = 384
    """Height of the images in pixels, which the checkpoint prescribes."""

    image_width: int = 384
    """Width of the images in pixels, which the checkpoint prescribes. Photos are squeezed to a
    square; for another shape they are resized by their height, and this is their greatest width."""

    beams: int = 4
    """Beam width; 1 decodes greedily."""

    max_length: int = 0
    """Maximum number of characters of a reading; 0 derives it from the training texts."""

    ctc_weight: float = 0.0
    """Weight of the loss of a CTC head on the encoder's columns of patches, beside 1 for the
    decoder's; 0 adds no head. A checkpoint of random weights needs it."""

    ctc_steps: AtLeastOne = 1
    """Time steps of the CTC head for each column of patches, at least as many as the characters
    that the narrowest writing has in a column."""

    ctc_reading_weight: float = 0.0
    """Weight of the CTC head in reading, beside 1 for the decoder; 0 reads by the decoder alone."""


class TrOCR(Recogniser):
    """VisionEncoderDecoderModel with one token per character and beam search."""

    network: ClassVar[str] = "trocr"
    config_class: ClassVar[type[Any]] = TrOCRSettings

    mean: Tensor
    std: Tensor

    def __init__(self, config: TrOCRSettings, alphabet: str, folder: Path | None = None) -> None:
        """Load the model in `folder`, which `save` wrote, or else the config's checkpoint.

        Raises:
            NetchuError: there is no such checkpoint, or it has another image size or alphabet.
        """
        super().__init__(config, alphabet)
        self.codec = Codec(alphabet, specials=len(SPECIALS))
        source = folder or config.checkpoint
        with checkpoint_source(source, partial(_write_checkpoint, config)) as location:
            self.model = VisionEncoderDecoderModel.from_pretrained(location)
            processor = TrOCRProcessor.from_pretrained(location)
        # The pooler is unused, and a parameter without gradients would stop DDP.
        self.model.encoder.pooler = None
        if not self._square:
            embeddings = self.model.encoder.embeddings
            embeddings.interpolate_pos_encoding = partial(_crop_positions, embeddings)
        self.image_processor = processor.image_processor
        self.register_buffer("mean", torch.tensor(self.image_processor.image_mean), False)
        self.register_buffer("std", torch.tensor(self.image_processor.image_std), False)
        self._check_size()
        if folder is None:
            _replace_tokens(self.model.decoder, processor.tokenizer, self.codec)
            self._set_special_tokens()
            self._set_max_length(config.max_length or self._positions)
        elif self.model.decoder.config.vocab_size != self.codec.size:
            raise NetchuError(f"{folder} was trained with another alphabet; train it again")
        self.ctc_head: CTCHead | None = None
        if config.ctc_weight > 0:
            channels = self.model.encoder.config.hidden_size
            self.ctc_head = CTCHead(channels, self.codec.size, PAD_ID, config.ctc_steps)
            if folder is not None:
                self.ctc_head.restore(folder)
        self.train()

    @property
    def hub_note(self) -> str:
        """Note about the weights for the report; '' for a published checkpoint."""
        return hub_note(self.config.checkpoint)

    @property
    def _square(self) -> bool:
        """Whether photos are squeezed to a square, as for the published checkpoints."""
        return bool(self.config.image_height == self.config.image_width)

    @property
    def preprocessing(self) -> Preprocessing:
        if self._square:
            return Preprocessing("square", self.config.image_height)
        return Preprocessing("grey", self.config.image_height, self.config.image_width)

    @property
    def encoder(self) -> nn.Module:
        """The ViT, for `freeze: encoder`."""
        found: nn.Module = self.model.encoder
        return found

    @property
    def decoder(self) -> nn.Module:
        """The text decoder, for `freeze: decoder`."""
        found: nn.Module = self.model.decoder
        return found

    @property
    def max_length(self) -> int:
        """Maximum number of characters of a reading."""
        return int(self.model.generation_config.max_new_tokens) - 1

    @property
    def _positions(self) -> int:
        """Number of characters that the decoder has positions for, besides start and end."""
        return int(self.model.decoder.config.max_position_embeddings) - 2

    def configure_for(self, texts: Iterable[str]) -> None:
        """Set max_length to the length of the longest training text and a tenth more.

        The default of transformers cuts a line after 20 tokens (transformers #17259).
        """
        if not self.config.max_length:
            longest = max(map(len, texts))
            self._set_max_length(min(self._positions, max(longest + 2, int(longest * MARGIN))))

    def _set_max_length(self, characters: int) -> None:
        if characters > self._positions:
            raise NetchuError(
                f"trocr: max_length {characters} exceeds the {self._positions} characters "
                f"that the decoder of {self.config.checkpoint!r} has positions for; lower it"
            )
        self.model.generation_config.max_new_tokens = characters + 1

    def _check_size(self) -> None:
        wanted = (self.config.image_height, self.config.image_width)
        height, width = size = _pair(self.model.encoder.config.image_size)
        if size != wanted:
            raise NetchuError(
                f"trocr: checkpoint {self.config.checkpoint!r} takes images of {height} × {width} "
                f"pixels, not {wanted[0]} × {wanted[1]}; set image_height: {height} and "
                f"image_width: {width}"
            )

    def _set_special_tokens(self) -> None:
        """Set the start, end and padding tokens in all three configs that hold them.

        Published TrOCR starts with the end token, which breaks fine-tuning in another language
        (transformers #15823, #18163). Here the start is a token of its own and is never generated.
        """
        ids = {"bos_token_id": BOS_ID, "pad_token_id": PAD_ID, "eos_token_id": EOS_ID}
        for config in (self.model.config, self.model.decoder.config):
            for name, value in (*ids.items(), ("decoder_start_token_id", BOS_ID)):
                setattr(config, name, value)
        self.model.generation_config = GenerationConfig(
            **ids, decoder_start_token_id=BOS_ID, suppress_tokens=[BOS_ID, PAD_ID, UNK_ID]
        )

    def rejection_reason(self, text: str, width: int) -> str:
        if len(text) <= self.max_length:
            return ""
        return f"too long: {len(text)} characters for a max_length of {self.max_length}"

    def _pixels(self, images_BCHW: Tensor) -> Tensor:
        """Return (B, 3, H, W) as from the checkpoint's image processor: white paper, normalised.

        Lines are filled up to a whole patch.
        """
        _, patch_width = _pair(self.model.encoder.config.patch_size)
        images_BCHW = F.pad(images_BCHW, (0, -images_BCHW.shape[3] % patch_width))
        paper_white_BCHW = (1 - images_BCHW).expand(-1, 3, -1, -1)
        return (paper_white_BCHW - self.mean[:, None, None]) / self.std[:, None, None]

    def targets(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return decoder inputs (start, text) and labels (text, end, or -100), both (B, L + 1)."""
        rows = [torch.tensor(self.codec.encode(text), device=self.device) for text in texts]
        inputs = [F.pad(row, (1, 0), value=BOS_ID) for row in rows]
        labels = [F.pad(row, (0, 1), value=EOS_ID) for row in rows]
        return pad_sequence(inputs, True, PAD_ID), pad_sequence(labels, True, IGNORED)

    def loss(self, batch: LineBatch) -> Tensor:
        inputs_BL, labels_BL = self.targets(batch.texts)
        output = self.model(
            pixel_values=self._pixels(batch.images_BCHW),
            interpolate_pos_encoding=not self._square,
            decoder_input_ids=inputs_BL,
            decoder_attention_mask=inputs_BL != PAD_ID,
        )
        logits_NV = output.logits.flatten(0, 1).float()
        loss: Tensor = F.cross_entropy(logits_NV, labels_BL.flatten(), ignore_index=IGNORED)
        if self.ctc_head is None:
            return loss
        columns_BTC, columns_B = self._columns(output.encoder_last_hidden_state, batch.widths_B)
        targets = [self.codec.encode(text) for text in batch.texts]
        loss += self.config.ctc_weight * self.ctc_head.loss(columns_BTC, columns_B, targets)
        return loss

    def _columns(self, hidden_BSC: Tensor, widths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean (B, T, C) of each column of patches, and how many columns are a line's.

        Args:
            hidden_BSC: the encoder's last hidden states, of a class token and of patches by row.
            widths_B: of the lines, in pixels.
        """
        height, width = _pair(self.model.encoder.config.patch_size)
        rows = self.config.image_height // height
        columns = (hidden_BSC.shape[1] - 1) // rows
        patches_BSC = hidden_BSC[:, -rows * columns :]
        grid_BRTC = patches_BSC.reshape(len(hidden_BSC), rows, columns, -1)
        return grid_BRTC.mean(1), (widths_B / width).ceil().long().clamp(max=columns)

    @torch.inference_mode()
    def transcribe(self, batch: LineBatch) -> list[Reading]:
        """Decode by beam search; confidences are those of characters, given the ones before."""
        encoded = self.model.encoder(
            pixel_values=self._pixels(batch.images_BCHW),
            interpolate_pos_encoding=not self._square,
        )
        processors = LogitsProcessorList()
        if self.ctc_head is not None and self.config.ctc_reading_weight > 0:
            columns = self._columns(encoded.last_hidden_state, batch.widths_B)
            weight = self.config.ctc_reading_weight
            processors.append(joint_decoding(self.ctc_head, *columns, EOS_ID, weight))
        written = self.model.generate(
            encoder_outputs=encoded,
            logits_processor=processors,
            num_beams=self.config.beams,
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
        )
        probabilities_BL = self.model.compute_transition_scores(
            written.sequences,
            written.scores,
            getattr(written, "beam_indices", None),
            normalize_logits=True,
        ).exp()
        ids_BL = written.sequences[:, -probabilities_BL.shape[1] :]
        return [
            self._reading(ids, probabilities)
            for ids, probabilities in zip(ids_BL.tolist(), probabilities_BL.tolist(), strict=True)
        ]

    def _reading(self, ids: list[int], probabilities: list[float]) -> Reading:
        length = ids.index(EOS_ID) if EOS_ID in ids else len(ids)
        return Reading(
            self.codec.decode(ids[:length]),
            joint_probability(probabilities[:length]),
            tuple(probabilities[:length]),
        )

    def save(self, folder: Path) -> None:
        """Write config, weights, generation config and processor in the format of the hub."""
        processor = TrOCRProcessor(self.image_processor, char_tokenizer(self.alphabet))
        with silenced():
            self.model.save_pretrained(folder)
            processor.save_pretrained(folder)
        if self.ctc_head is not None:
            self.ctc_head.save(folder)

    @classmethod
    def load(cls, folder: Path, config: Any, alphabet: str) -> TrOCR:
        """Return the recogniser that `save` wrote, without access to the hub."""
        return cls(config, alphabet, folder)


def _write_checkpoint(config: TrOCRSettings, folder: Path) -> None:
    size: OwnSize = "small" if config.checkpoint == SMALL else "tiny"
    write_trocr(folder, (config.image_height, config.image_width), size)


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    """Return height and width of a size in a config of transformers, where one number is both."""
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def _crop_positions(module: Any, patches_BSC: Tensor, height: int, width: int) -> Tensor:
    """Return the position embeddings (1, S, C) of the first columns, for lines of any width.

    Replaces the method of transformers' ViT embeddings, which stretches those of a square.
    """
    (image_height, image_width), (patch_height, patch_width) = (
        _pair(module.image_size), _pair(module.patch_size)
    )  # fmt: skip
    token_1SC, grid_1SC = module.position_embeddings.split(
        [1, module.position_embeddings.shape[1] - 1], 1
    )
    rows, columns = image_height // patch_height, image_width // patch_width
    grid_1RTC = grid_1SC.unflatten(1, (rows, columns))[:, : height // patch_height]
    return torch.cat([token_1SC, grid_1RTC[:, :, : width // patch_width].flatten(1, 2)], 1)


@torch.no_grad()
def _replace_tokens(decoder: Any, tokenizer: Any, codec: Codec) -> None:
    """Give `decoder` one token per character; `tokenizer` is its old one.

    The embedding of a character and its row of the output layer become the means of those of its
    old tokens.
    """
    old = [[tokenizer.convert_tokens_to_ids(token)] for token in SPECIALS]
    old += [tokenizer(letter, add_special_tokens=False)["input_ids"] for letter in codec.alphabet]
    layers = (decoder.get_input_embeddings, decoder.get_output_embeddings)
    means = [torch.stack([layer().weight[ids].mean(0) for ids in old]) for layer in layers]
    decoder.resize_token_embeddings(codec.size)
    for layer, mean_VD in zip(layers, means, strict=True):
        layer().weight.copy_(mean_VD)
