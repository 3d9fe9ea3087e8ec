"""A vision-language model fine-tuned by QLoRA (source project 0): DeepSeek-OCR-2 by default.

Any `AutoModelForImageTextToText` checkpoint works. The first DeepSeek-OCR has only remote code for
an older transformers; its successor is a native class. The base stays frozen, in 4 bits if asked;
only the adapter is trained and saved.

The checkpoint `small` has random weights, so the stage pretrain trains all of them and writes the
base that the stage finetune starts from. It stays in the model folder, in `base/`.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from peft import PeftModel, prepare_model_for_kbit_training
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    LogitsProcessorList,
)

from netchu.core.errors import NetchuError
from netchu.core.params import AtLeastOne, Strict
from netchu.core.text import ends_in_loop
from netchu.data.batches import LineBatch
from netchu.decoding.readings import Reading, joint_probability
from netchu.imaging.preparation import Preprocessing
from netchu.models.base import Recogniser, Transcribe
from netchu.models.ctc_loss import CTCHead
from netchu.models.hub import SMALL, checkpoint_source, hub_note, silenced
from netchu.models.hub.joint_decoding import joint_decoding
from netchu.models.hub.own_checkpoints import write_deepseek
from netchu.models.hub.qlora import (
    add_adapter,
    disable_cpu_repacking,
    four_bit_config,
    has_adapter,
    load_adapter,
    split_experts,
)
from netchu.models.hub.small_deepseek import VIEW_TOKENS, column_width, write_small_deepseek
from netchu.models.hub.tokens import read_tokens

IGNORED = -100
BASE = "base"
"""Folder of the pretrained base in the model folder."""


@dataclass(frozen=True)
class DeepSeekOCRSettings(Strict):
    """Config."""

    checkpoint: str = "deepseek-community/DeepSeek-OCR-2"
    """A folder, a model id of the hub, `small` for a checkpoint of random weights that pretraining
    teaches, or `tiny` for one that only shows that the code runs."""

    instruction: str = "Free OCR."
    """Prompt of the model."""

    four_bit: bool = True
    """Whether the base is stored in 4 bits (NF4)."""

    rank: int = 16
    """Rank of the LoRA adapter."""

    height: int = 512
    """Height of prepared lines in pixels; the checkpoint's processor scales them further, except
    those for `small`, which has a view of this height."""

    image_width: int = 0
    """Width of the view of `small` in pixels. Shorter lines are padded on the right, longer ones
    squeezed. 0 for other checkpoints, whose processors make squares."""

    hidden: AtLeastOne = 64
    """Hidden size of vision encoder and decoder of `small`, a multiple of 4."""

    layers: AtLeastOne = 1
    """Layers of the vision encoder of `small`."""

    ctc_weight: float = 0.0
    """Weight of the loss of a CTC head on the image tokens, beside 1 for that of the text; 0 adds
    no head. Only `small` has one; its random weights need it."""

    ctc_steps: AtLeastOne = 1
    """Time steps of the CTC head for each image token, at least as many as the characters that the
    narrowest writing has in a column. In pretraining, a head of one step shares the weights of the
    output layer, which the decoder learns faster with."""

    ctc_reading_weight: float = 0.0
    """Weight of the CTC head in reading, beside 1 for the decoder; 0 reads by the decoder alone."""

    max_new_tokens: int = 512
    """Maximum number of tokens of a reading."""

    repetition_penalty: float = 1.05
    """Penalty of repeated tokens, against endless loops; 1.0 is none."""

    no_repeat_ngram_size: int = 20
    """N-grams of this size are never repeated, against endless loops; 0 allows all."""

    gradient_checkpointing: bool = True
    """Whether activations are computed twice to save memory."""


class DeepSeekOCR(Recogniser):
    """A frozen vision-language model with LoRA on its projections, also those of MoE experts."""

    network: ClassVar[str] = "deepseek_ocr"
    levels: ClassVar[tuple[str, ...]] = ("word", "line", "paragraph")
    config_class: ClassVar[type[Any]] = DeepSeekOCRSettings

    def __init__(
        self, config: DeepSeekOCRSettings, alphabet: str, folder: Path | None = None
    ) -> None:
        """Load the model folder that `save` wrote, or else the config's checkpoint.

        Without a folder all weights of `small` are trainable. In every other case the base is
        frozen, and the adapter in the folder, or else a new one, is trainable.

        Raises:
            NetchuError: there is no such checkpoint, the adapter belongs to another one, or the
                config does not suit the checkpoint.
        """
        super().__init__(config, alphabet)
        _check_view(config)
        own = folder / BASE if folder else None
        self.base_folder = own if own and own.is_dir() else None
        source = self.base_folder or config.checkpoint
        with checkpoint_source(source, partial(_write_checkpoint, config, alphabet)) as location:
            self.processor = AutoProcessor.from_pretrained(location)
            if config.checkpoint == SMALL and self.base_folder is None:
                self.model = AutoModelForImageTextToText.from_pretrained(location)
                # Queries for larger views; a trainable parameter without gradients stops DDP.
                self.model.model.vision_tower.query_1024_resolution.requires_grad_(False)
            else:
                self.model = add_adapter(_load_base(location, config), config.rank)
        if folder is not None and (self.base_folder is None or has_adapter(folder)):
            load_adapter(self.model, folder)
        tokenizer = self.processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.tokenizer = tokenizer
        self.ctc_head: CTCHead | None = None
        if config.ctc_weight > 0:
            blank, steps = tokenizer.pad_token_id, config.ctc_steps
            self.ctc_head = CTCHead(config.hidden, len(tokenizer), blank, steps)
            if not self.adapted and steps == 1:
                # Image tokens then come to resemble the embeddings of their characters.
                self.ctc_head.weight = self.base.lm_head.weight
            if self.base_folder is not None:
                # A part of the base, so that reading zero-shot is reading without what was adapted.
                self.ctc_head.restore(self.base_folder)
                self.ctc_head.requires_grad_(False)
        self.train()

    @property
    def hub_note(self) -> str:
        """Note about the weights for the report; '' for a published checkpoint."""
        return hub_note(self.config.checkpoint)

    @property
    def adapted(self) -> bool:
        """Whether the base is frozen and has an adapter, and not all weights are trainable."""
        return isinstance(self.model, PeftModel)

    @property
    def base(self) -> Any:
        """The base model without its adapter's wrapper."""
        return self.model.get_base_model() if self.adapted else self.model

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing("grey", self.config.height, self.config.image_width)

    def rejection_reason(self, text: str, width: int) -> str:
        needed = len(self._answer(text))
        if needed <= self.config.max_new_tokens:
            return ""
        return f"too long: {needed} tokens for a max_new_tokens of {self.config.max_new_tokens}"

    def _answer(self, text: str) -> list[int]:
        """Return the tokens of `text` and the end token, without which the model never stops."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return [*ids, self.tokenizer.eos_token_id]

    def _question(self, batch: LineBatch) -> dict[str, Tensor]:
        """Return the model's inputs for the images and the instruction, padded on the left."""
        if self.config.image_width:
            return self._line_views(batch)
        images = [
            _photo(image_HW[:, :width])
            for image_HW, width in zip(
                batch.images_BCHW[:, 0], batch.widths_B.tolist(), strict=True
            )
        ]
        asked = self.processor(
            images=images, text=[self._prompt()] * len(images), padding=True, return_tensors="pt"
        )
        return dict(asked.to(self.device, dtype=self.base.dtype))

    def _line_views(self, batch: LineBatch) -> dict[str, Tensor]:
        """Return those for views of a line, which the checkpoint's processor does not make.

        The pixels are normalised as it does it. Whatever the shape of a view of at most 144
        columns, it has 144 image tokens and a separator.
        """
        processor = self.processor.image_processor
        images_BCHW = F.pad(
            batch.images_BCHW, (0, self.config.image_width - batch.images_BCHW.shape[3])
        )
        paper_white_BCHW = (1 - images_BCHW).expand(-1, 3, -1, -1)
        mean, std = (
            torch.tensor(values, device=self.device)[:, None, None]
            for values in (processor.image_mean, processor.image_std)
        )
        token = self.processor.image_token
        prompt = self._prompt().replace(token, token * (VIEW_TOKENS + 1))
        ids_L = torch.tensor(self.tokenizer(prompt)["input_ids"], device=self.device)
        ids_BL = ids_L.repeat(len(images_BCHW), 1)
        return {
            "input_ids": ids_BL,
            "attention_mask": torch.ones_like(ids_BL),
            "pixel_values": ((paper_white_BCHW - mean) / std).to(self.base.dtype),
        }

    def _prompt(self) -> str:
        """Return the instruction in the checkpoint's chat template, or after its image token."""
        if not self.processor.chat_template:
            return f"{self.processor.image_token}\n{self.config.instruction}"
        content = [{"type": "image"}, {"type": "text", "text": self.config.instruction}]
        messages = [{"role": "user", "content": content}]
        prompt: str = self.processor.apply_chat_template(messages, add_generation_prompt=True)
        return prompt

    def supervised(self, batch: LineBatch) -> tuple[dict[str, Tensor], Tensor]:
        """Return the model's inputs, and labels (B, L): the text and its end; -100 elsewhere."""
        inputs = self._question(batch)
        answers = [torch.tensor(self._answer(text), device=self.device) for text in batch.texts]
        ids_BL = pad_sequence(answers, True, self.tokenizer.pad_token_id)
        labels_BL = pad_sequence(answers, True, IGNORED)
        asked_BL = inputs["input_ids"]
        extended = {
            name: F.pad(value, (0, ids_BL.shape[1]))
            for name, value in inputs.items()
            if value.shape == asked_BL.shape
        }
        extended["input_ids"] = torch.cat([asked_BL, ids_BL], 1)
        written_BL = (labels_BL != IGNORED).to(inputs["attention_mask"].dtype)
        extended["attention_mask"] = torch.cat([inputs["attention_mask"], written_BL], 1)
        masked_BL = torch.full_like(asked_BL, IGNORED)
        return {**inputs, **extended}, torch.cat([masked_BL, labels_BL], 1)

    def loss(self, batch: LineBatch) -> Tensor:
        inputs, labels_BL = self.supervised(batch)
        # Only logits that predict an answer: for all tokens of a page they would fill gigabytes.
        length = int((labels_BL != IGNORED).any(0).sum())
        output = self.model(**inputs, use_cache=False, logits_to_keep=length + 1)
        loss: Tensor = F.cross_entropy(
            output.logits[:, :-1].flatten(0, 1).float(),
            labels_BL[:, -length:].flatten(),
            ignore_index=IGNORED,
        )
        if self.ctc_head is not None:
            columns_BTC, columns_B = self._columns(output.image_hidden_states, batch)
            targets = [self._answer(text)[:-1] for text in batch.texts]
            loss += self.config.ctc_weight * self.ctc_head.loss(columns_BTC, columns_B, targets)
        return loss

    def _columns(self, views: Sequence[Tensor], batch: LineBatch) -> tuple[Tensor, Tensor]:
        """Return the image tokens (B, T, C) of the views' columns, and how many are a line's."""
        width = column_width(self.base.config)
        tokens_BTC = torch.stack(tuple(views))[:, : self.config.image_width // width]
        return tokens_BTC, (batch.widths_B / width).ceil().long()

    @torch.inference_mode()
    def transcribe(self, batch: LineBatch, guarded: bool = True) -> list[Reading]:
        """Decode greedily; `guarded` applies the repetition penalty and bans repeated n-grams.

        The confidence of a character is the probability of its tokens before any penalty.
        """
        inputs: dict[str, Any] = self._question(batch)
        processors = LogitsProcessorList()
        if self.ctc_head is not None and self.config.ctc_reading_weight > 0:
            # The views are encoded here, and not a second time by `generate`.
            encoded = self.base.model.get_image_features(inputs.pop("pixel_values"))
            inputs["mm_encoder_outputs"] = {"image": encoded}
            columns = self._columns(encoded.pooler_output, batch)
            end, weight = self.tokenizer.eos_token_id, self.config.ctc_reading_weight
            processors.append(joint_decoding(self.ctc_head, *columns, end, weight))
        written = self.model.generate(
            **inputs,
            logits_processor=processors,
            do_sample=False,
            num_beams=1,
            max_new_tokens=self.config.max_new_tokens,
            repetition_penalty=self.config.repetition_penalty if guarded else 1.0,
            no_repeat_ngram_size=self.config.no_repeat_ngram_size if guarded else 0,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
            return_dict_in_generate=True,
            output_logits=True,
        )
        ids_BL = written.sequences[:, inputs["input_ids"].shape[1] :]
        probabilities_BL = torch.stack(
            [
                logits_BV.softmax(-1).gather(1, ids_BL[:, step, None])[:, 0]
                for step, logits_BV in enumerate(written.logits)
            ],
            dim=1,
        )
        return [
            self._reading(ids, probabilities)
            for ids, probabilities in zip(ids_BL.tolist(), probabilities_BL.tolist(), strict=True)
        ]

    def _reading(self, ids: list[int], probabilities: list[float]) -> Reading:
        end = self.tokenizer.eos_token_id
        length = ids.index(end) if end in ids else len(ids)
        text, characters = read_tokens(self.tokenizer, ids[:length], probabilities[:length])
        return Reading(text, joint_probability(probabilities[:length]), characters)

    def looped(self, text: str) -> bool:
        """Return whether a reading ends in a loop or reached the maximum length."""
        return ends_in_loop(text) or len(self._answer(text)) > self.config.max_new_tokens

    def variants(self) -> dict[str, Transcribe]:
        """Return ways to read by name: with guards, without them, and without the adapter."""
        return {
            "guarded": self.transcribe,
            "unguarded": partial(self.transcribe, guarded=False),
            "zero_shot": self._zero_shot,
        }

    def _zero_shot(self, batch: LineBatch) -> list[Reading]:
        with self.model.disable_adapter():
            return self.transcribe(batch)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the adapter's weights, without the frozen base; all weights without an adapter."""
        weights: dict[str, Any] = super().state_dict(*args, **kwargs)
        if not self.adapted:
            return weights
        return {name: value for name, value in weights.items() if ".lora_" in name}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights from `state_dict`; `strict` requires every weight of it and no other."""
        if not self.adapted:
            return super().load_state_dict(state_dict, strict, assign)
        if strict and set(state_dict) != set(self.state_dict()):
            raise NetchuError("deepseek_ocr: these weights belong to another adapter; train again")
        return super().load_state_dict(state_dict, strict=False, assign=assign)

    def save(self, folder: Path) -> None:
        """Write the base in the hub's format into `base/`, if it is `small`; and the adapter.

        The adapter is in peft's format; adapter_config.json names the config's checkpoint.
        """
        if not self.adapted:
            with silenced():
                self.model.save_pretrained(folder / BASE)
                self.processor.save_pretrained(folder / BASE)
            if self.ctc_head is not None:
                self.ctc_head.save(folder / BASE)
            return
        if self.base_folder is not None:
            shutil.copytree(self.base_folder, folder / BASE)
        self.model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path, config: Any, alphabet: str) -> DeepSeekOCR:
        """Return the base that `save` wrote, or else the config's checkpoint, with the adapter.

        A base without an adapter, as the stage pretrain writes it, gets a new one.
        """
        return cls(config, alphabet, folder)


def _check_view(config: DeepSeekOCRSettings) -> None:
    """Check that what only `small` has is set for it alone: `image_width` and `ctc_weight`."""
    if config.checkpoint != SMALL and config.ctc_weight:
        raise NetchuError(
            f"deepseek_ocr: the image tokens of checkpoint {config.checkpoint!r} are no columns of "
            f"a line; set ctc_weight: 0, or use {SMALL!r}"
        )
    if config.checkpoint != SMALL and config.image_width:
        raise NetchuError(
            f"deepseek_ocr: the processor of checkpoint {config.checkpoint!r} makes square views; "
            f"set image_width: 0, or use {SMALL!r}"
        )
    if config.checkpoint == SMALL and not config.image_width:
        raise NetchuError(f"deepseek_ocr: checkpoint {SMALL!r} needs an image_width, such as 224")


def _write_checkpoint(config: DeepSeekOCRSettings, alphabet: str, folder: Path) -> None:
    if config.checkpoint == SMALL:
        image_size = (config.height, config.image_width)
        write_small_deepseek(
            folder, alphabet, image_size, config.instruction,
            hidden=config.hidden, layers=config.layers,
        )  # fmt: skip
    else:
        write_deepseek(folder, alphabet)


def _load_base(location: str, config: DeepSeekOCRSettings) -> Any:
    """Return the base with its experts split, on the CPU; Lightning moves it to the device."""
    precision = AutoConfig.from_pretrained(location).dtype
    base = AutoModelForImageTextToText.from_pretrained(
        location,
        dtype="auto",
        device_map={"": "cpu"},
        quantization_config=four_bit_config(precision) if config.four_bit else None,
    )
    # peft saves it as the name of the base; that of a temporary folder would differ in each run.
    base.name_or_path = config.checkpoint
    split_experts(base, config.four_bit)
    disable_cpu_repacking(base)
    if config.four_bit:
        base = prepare_model_for_kbit_training(
            base, use_gradient_checkpointing=config.gradient_checkpointing
        )
    return base


def _photo(image_HW: Tensor) -> Image.Image:
    """Return prepared pixels (H, W), 0 paper and 1 ink, as an RGB image, black on white."""
    grey_HW = ((1 - image_HW.float()) * 255).round().to(torch.uint8).cpu().numpy()
    return Image.fromarray(grey_HW).convert("RGB")
