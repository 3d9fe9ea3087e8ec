"""A vision-language model fine-tuned by QLoRA (source project 0): DeepSeek-OCR-2 by default.

Any `AutoModelForImageTextToText` checkpoint works. The first DeepSeek-OCR has only remote code for
an older transformers; its successor is a native class. The base stays frozen, in 4 bits if asked;
only the adapter is trained and saved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from peft import prepare_model_for_kbit_training
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from transformers import AutoModelForImageTextToText, AutoProcessor

from netchu.core.errors import NetchuError
from netchu.core.params import Strict
from netchu.core.text import ends_in_loop
from netchu.data.batches import LineBatch
from netchu.decoding.readings import Reading, joint_probability
from netchu.imaging.preparation import Preprocessing
from netchu.models.base import Recogniser, Transcribe
from netchu.models.hub import checkpoint_source, hub_note
from netchu.models.hub.own_checkpoints import write_deepseek
from netchu.models.hub.qlora import (
    add_adapter,
    disable_cpu_repacking,
    four_bit_config,
    load_adapter,
    split_experts,
)
from netchu.models.hub.tokens import read_tokens

IGNORED = -100


@dataclass(frozen=True)
class DeepSeekOCRSettings(Strict):
    """Config."""

    checkpoint: str = "deepseek-community/DeepSeek-OCR-2"
    """A folder, a model id of the hub, or `tiny` for a small random checkpoint."""

    instruction: str = "Free OCR."
    """Prompt of the model."""

    four_bit: bool = True
    """Whether the base is stored in 4 bits (NF4)."""

    rank: int = 16
    """Rank of the LoRA adapter."""

    height: int = 512
    """Height of prepared lines in pixels; the checkpoint's processor scales them further."""

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
        """Load the adapter in `folder`, which `save` wrote, or else create a new one.

        Raises:
            NetchuError: there is no such checkpoint, or the adapter belongs to another one.
        """
        super().__init__(config, alphabet)
        with checkpoint_source(config.checkpoint, partial(_write_tiny, alphabet)) as location:
            self.processor = AutoProcessor.from_pretrained(location)
            base = _load_base(location, config)
        self.model = add_adapter(base, config.rank)
        if folder is not None:
            load_adapter(self.model, folder)
        tokenizer = self.processor.tokenizer
        tokenizer.padding_side = "left"
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.tokenizer = tokenizer
        self.train()

    @property
    def hub_note(self) -> str:
        """Note about the weights for the report; '' for a published checkpoint."""
        return hub_note(self.config.checkpoint)

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing("grey", self.config.height)

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
        """Return the processor's inputs for the images and the instruction, padded on the left."""
        images = [
            _photo(image_HW[:, :width])
            for image_HW, width in zip(
                batch.images_BCHW[:, 0], batch.widths_B.tolist(), strict=True
            )
        ]
        asked = self.processor(
            images=images, text=[self._prompt()] * len(images), padding=True, return_tensors="pt"
        )
        return dict(asked.to(self.device, dtype=self.model.get_base_model().dtype))

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
        logits_BLV = self.model(**inputs, use_cache=False).logits
        return F.cross_entropy(
            logits_BLV[:, :-1].flatten(0, 1).float(),
            labels_BL[:, 1:].flatten(),
            ignore_index=IGNORED,
        )

    @torch.inference_mode()
    def transcribe(self, batch: LineBatch, guarded: bool = True) -> list[Reading]:
        """Decode greedily; `guarded` applies the repetition penalty and bans repeated n-grams.

        The confidence of a character is the probability of its tokens before any penalty.
        """
        inputs = self._question(batch)
        written = self.model.generate(
            **inputs,
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
        """Return the adapter's weights only; the frozen base is that of the checkpoint."""
        weights: dict[str, Any] = super().state_dict(*args, **kwargs)
        return {name: value for name, value in weights.items() if ".lora_" in name}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load weights from `state_dict`; `strict` requires every adapter weight and no other."""
        if strict and set(state_dict) != set(self.state_dict()):
            raise NetchuError("deepseek_ocr: these weights belong to another adapter; train again")
        return super().load_state_dict(state_dict, strict=False, assign=assign)

    def save(self, folder: Path) -> None:
        """Write the adapter in peft's format; adapter_config.json names the base checkpoint."""
        self.model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)

    @classmethod
    def load(cls, folder: Path, config: Any, alphabet: str) -> DeepSeekOCR:
        """Return the config's base checkpoint with the adapter that `save` wrote."""
        return cls(config, alphabet, folder)


def _write_tiny(alphabet: str, folder: Path) -> None:
    write_deepseek(folder, alphabet)


def _load_base(location: str, config: DeepSeekOCRSettings) -> Any:
    """Return the base with its experts split, on the CPU; Lightning moves it to the device."""
    base = AutoModelForImageTextToText.from_pretrained(
        location,
        dtype="auto",
        device_map={"": "cpu"},
        quantization_config=four_bit_config() if config.four_bit else None,
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
