"""TrOCR (Li et al. 2021, the fourth seed): a ViT that looks, a text decoder that writes.

The published checkpoint keeps its layers; its tokeniser, which cannot write Vietnamese well, gives
way to one token a letter (`char_tokenizer`). A letter's new embedding is the mean of those that
the checkpoint's own tokens for it had, so that plain letters stay what the decoder learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, TrOCRProcessor, VisionEncoderDecoderModel

from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.core.params import Strict
from netchu.data.batches import LineBatch
from netchu.decoding.readings import Reading, joint_probability
from netchu.imaging.preparation import Preprocessing
from netchu.models.base import Recogniser
from netchu.models.hub import TINY, TINY_NOTE, checkpoint_source, quiet
from netchu.models.hub.char_tokenizer import BOS, EOS, PAD, SPECIALS, UNK, char_tokenizer
from netchu.models.hub.tiny_checkpoints import write_trocr

BOS_ID, PAD_ID, EOS_ID, UNK_ID = (SPECIALS.index(token) for token in (BOS, PAD, EOS, UNK))
IGNORED = -100
MARGIN = 1.1


@dataclass(frozen=True)
class TrOCRSettings(Strict):
    """checkpoint: a directory, a hub id, or `tiny`. image_size: pixels of a side, the checkpoint's.

    beams: of beam search, 1 is greedy. max_length: the most characters that are written; 0 takes
    it from the training texts.
    """

    checkpoint: str = "microsoft/trocr-base-handwritten"
    image_size: int = 384
    beams: int = 4
    max_length: int = 0


class TrOCR(Recogniser):
    """VisionEncoderDecoderModel with one token a letter and beam search."""

    network: ClassVar[str] = "trocr"
    config_class: ClassVar[type[Any]] = TrOCRSettings

    mean: Tensor
    std: Tensor

    def __init__(self, config: TrOCRSettings, alphabet: str, folder: Path | None = None) -> None:
        """`folder`: a model that `save` wrote; without it the config's checkpoint is opened.

        Raises:
            NetchuError: no such checkpoint, or one of another image size or alphabet.
        """
        super().__init__(config, alphabet)
        self.codec = Codec(alphabet, specials=len(SPECIALS))
        source = folder or config.checkpoint
        with checkpoint_source(source, partial(_write_tiny, config)) as place:
            self.model = VisionEncoderDecoderModel.from_pretrained(place)
            processor = TrOCRProcessor.from_pretrained(place)
        # Nothing reads the pooler, and a parameter without gradients would stop DDP.
        self.model.encoder.pooler = None
        self.image_processor = processor.image_processor
        self.register_buffer("mean", torch.tensor(self.image_processor.image_mean), False)
        self.register_buffer("std", torch.tensor(self.image_processor.image_std), False)
        self._check_size()
        if folder is None:
            _teach_alphabet(self.model.decoder, processor.tokenizer, self.codec)
            self._settle_specials()
            self._write_at_most(config.max_length or self._positions)
        elif self.model.decoder.config.vocab_size != self.codec.size:
            raise NetchuError(f"{folder} was trained with another alphabet; train it again")
        self.train()

    @property
    def hub_note(self) -> str:
        """What a report must say about the weights; '' for a published checkpoint."""
        return TINY_NOTE if self.config.checkpoint == TINY else ""

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing("square", self.config.image_size)

    @property
    def encoder(self) -> nn.Module:
        """The part that looks, for `freeze: encoder`."""
        found: nn.Module = self.model.encoder
        return found

    @property
    def decoder(self) -> nn.Module:
        """The part that writes, for `freeze: decoder`."""
        found: nn.Module = self.model.decoder
        return found

    @property
    def max_length(self) -> int:
        """The most characters that are written for one image."""
        return int(self.model.generation_config.max_new_tokens) - 1

    @property
    def _positions(self) -> int:
        """The most characters that the decoder has positions for, start and end left out."""
        return int(self.model.decoder.config.max_position_embeddings) - 2

    def configure_for(self, texts: Sequence[str]) -> None:
        """Take max_length from the training texts: the longest and a tenth more.

        Transformers' own default cuts a line at 20 tokens (transformers #17259).
        """
        if not self.config.max_length:
            longest = max(map(len, texts))
            self._write_at_most(min(self._positions, max(longest + 2, int(longest * MARGIN))))

    def _write_at_most(self, characters: int) -> None:
        if characters > self._positions:
            raise NetchuError(
                f"trocr: max_length {characters} is more than the {self._positions} characters "
                f"that the decoder of {self.config.checkpoint!r} has positions for; lower it"
            )
        self.model.generation_config.max_new_tokens = characters + 1

    def _check_size(self) -> None:
        size = self.model.encoder.config.image_size
        if size != self.config.image_size:
            raise NetchuError(
                f"trocr: checkpoint {self.config.checkpoint!r} wants images of {size} pixels, "
                f"image_size is {self.config.image_size}; set it to {size}"
            )

    def _settle_specials(self) -> None:
        """One answer to which token starts, ends and pads, in all the three places that ask.

        Published TrOCR starts with the end token, which fine-tuning in another language trips over
        (transformers #15823, #18163); here the start is a token of its own and is never written.
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
        """(B, 3, H, W) as the checkpoint's image processor makes it: paper white, normalised."""
        paper_white_BCHW = (1 - images_BCHW).expand(-1, 3, -1, -1)
        return (paper_white_BCHW - self.mean[:, None, None]) / self.std[:, None, None]

    def targets(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Decoder inputs (start, text) and labels (text, end, -100 in padding): (B, L + 1)."""
        rows = [torch.tensor(self.codec.encode(text), device=self.device) for text in texts]
        inputs = [F.pad(row, (1, 0), value=BOS_ID) for row in rows]
        labels = [F.pad(row, (0, 1), value=EOS_ID) for row in rows]
        return pad_sequence(inputs, True, PAD_ID), pad_sequence(labels, True, IGNORED)

    def loss(self, batch: LineBatch) -> Tensor:
        inputs_BL, labels_BL = self.targets(batch.texts)
        output = self.model(
            pixel_values=self._pixels(batch.images_BCHW),
            decoder_input_ids=inputs_BL,
            decoder_attention_mask=inputs_BL != PAD_ID,
        )
        logits_NV = output.logits.flatten(0, 1).float()
        return F.cross_entropy(logits_NV, labels_BL.flatten(), ignore_index=IGNORED)

    @torch.inference_mode()
    def transcribe(self, batch: LineBatch) -> list[Reading]:
        """Beam search; a letter's probability is the decoder's, given the letters before it."""
        written = self.model.generate(
            pixel_values=self._pixels(batch.images_BCHW),
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
            self._reading(ids, sure)
            for ids, sure in zip(ids_BL.tolist(), probabilities_BL.tolist(), strict=True)
        ]

    def _reading(self, ids: list[int], sure: list[float]) -> Reading:
        length = ids.index(EOS_ID) if EOS_ID in ids else len(ids)
        return Reading(self.codec.decode(ids[:length]), joint_probability(sure[:length]), tuple(sure[:length]))

    def save(self, folder: Path) -> None:
        """Write the hub's format: config, weights, generation config, processor."""
        processor = TrOCRProcessor(self.image_processor, char_tokenizer(self.alphabet))
        with quiet():
            self.model.save_pretrained(folder)
            processor.save_pretrained(folder)

    @classmethod
    def load(cls, folder: Path, config: Any, alphabet: str) -> TrOCR:
        """The recogniser that `save` wrote; no hub is asked."""
        return cls(config, alphabet, folder)


def _write_tiny(config: TrOCRSettings, folder: Path) -> None:
    write_trocr(folder, config.image_size)


@torch.no_grad()
def _teach_alphabet(decoder: Any, pieces: Any, codec: Codec) -> None:
    """Give `decoder` one token a letter; `pieces` is the tokeniser that it had.

    A letter's embedding, and its row of the output layer, become the mean of its old pieces'.
    """
    old = [[pieces.convert_tokens_to_ids(token)] for token in SPECIALS]
    old += [pieces(letter, add_special_tokens=False)["input_ids"] for letter in codec.alphabet]
    layers = (decoder.get_input_embeddings, decoder.get_output_embeddings)
    means = [torch.stack([layer().weight[ids].mean(0) for ids in old]) for layer in layers]
    decoder.resize_token_embeddings(codec.size)
    for layer, mean_VD in zip(layers, means, strict=True):
        layer().weight.copy_(mean_VD)
