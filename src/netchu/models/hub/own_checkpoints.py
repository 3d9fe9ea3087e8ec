"""Checkpoints of random weights in the hub's format, for machines without access to the hub.

They have the files, class names and config keys of the published ones, and fewer and narrower
layers, so that the real loading code (`from_pretrained`) runs on them. `tiny` ones read little even
after training; `small` ones read once they are pretrained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor
from transformers import (
    DeepseekOcr2Config,
    DeepseekOcr2ForConditionalGeneration,
    DeepseekOcr2ImageProcessor,
    DeepseekOcr2Processor,
    PreTrainedTokenizerFast,
    TrOCRConfig,
    TrOCRProcessor,
    VisionEncoderDecoderConfig,
    VisionEncoderDecoderModel,
    ViTConfig,
    ViTImageProcessor,
)

from netchu.core.errors import NetchuError
from netchu.models.hub.char_tokenizer import BOS, EOS, PAD, SPECIALS, UNK, char_tokenizer

OwnSize = Literal["tiny", "small"]

IMAGE = "<image>"
TILE_SIZE = 8192
"""Tile size in pixels; a longer image would be cut into tiles of 144 tokens each."""


def write_trocr(folder: Path, image_size: tuple[int, int], size: OwnSize, seed: int = 0) -> None:
    """Write a TrOCR: ViT encoder, TrOCR decoder, byte-level tokeniser.

    As in the published checkpoints, decoding starts with the end token, and a Vietnamese letter may
    be several tokens.

    Args:
        folder: must exist.
        image_size: height and width in pixels, multiples of the patch: 8 × 8 if tiny. If small,
            the height is even and a patch is half of it × 8.
        size: tiny has 0.4 M parameters, small 2 M.
        seed: of the weights.

    Raises:
        NetchuError: patches do not fill the image.
    """
    tokenizer = _byte_tokenizer()
    shapes = {"tiny": ((8, 8), 64, 2, 96), "small": ((image_size[0] // 2, 8), 160, 6, 160)}
    patch, encoder_width, layers, decoder_width = shapes[size]
    if any(pixels % side for pixels, side in zip(image_size, patch, strict=True)):
        raise NetchuError(
            f"trocr: {size!r} has patches of {patch[0]} × {patch[1]} px, which do not fill "
            f"{image_size[0]} × {image_size[1]}; set image_height and image_width to multiples"
        )
    encoder = ViTConfig(
        hidden_size=encoder_width, num_hidden_layers=layers, num_attention_heads=4,
        intermediate_size=2 * encoder_width, image_size=_plain(image_size),
        patch_size=_plain(patch),
    )  # fmt: skip
    decoder = TrOCRConfig(
        vocab_size=len(tokenizer), d_model=decoder_width, decoder_layers=2,
        decoder_attention_heads=4, decoder_ffn_dim=2 * decoder_width, max_position_embeddings=256,
        cross_attention_hidden_size=encoder_width,
    )  # fmt: skip
    config = VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 2, 1, 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = VisionEncoderDecoderModel(config)
    _set_positions(network, image_size, patch)
    network.save_pretrained(folder)
    height, width = image_size
    image_processor = ViTImageProcessor(
        size={"height": height, "width": width}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    TrOCRProcessor(image_processor=image_processor, tokenizer=tokenizer).save_pretrained(folder)


@torch.no_grad()
def _set_positions(
    network: VisionEncoderDecoderModel, image_size: tuple[int, int], patch: tuple[int, int]
) -> None:
    """Give the learned position embeddings sinusoids as first values, scaled to the other inputs.

    From random values a small ViT has to learn first which patches are neighbours (Beyer et al.
    2022, "Better plain ViT baselines for ImageNet-1k"). Columns get three quarters of the channels,
    because a line has many of them and few rows.
    """
    table_1SC = network.encoder.embeddings.position_embeddings
    channels = table_1SC.shape[-1]
    rows, columns = image_size[0] // patch[0], image_size[1] // patch[1]
    across_TC = _sinusoids(columns, 3 * channels // 4).expand(rows, -1, -1)
    down_RC = _sinusoids(rows, channels // 4)[:, None].expand(-1, columns, -1)
    table_1SC[0, 1:] = 0.5 * torch.cat([across_TC, down_RC], -1).flatten(0, 1)
    positions = network.decoder.model.decoder.embed_positions.weight
    positions.copy_(0.03 * _sinusoids(*positions.shape))


def _sinusoids(places: int, channels: int) -> Tensor:
    """Return sine and cosine (places, channels) of each place, with wavelengths from 2π to 2000π.

    Vaswani et al. 2017, "Attention is all you need", section 3.5.
    """
    frequencies = 1000.0 ** (-torch.arange(channels // 2) / (channels // 2))
    angles = torch.arange(places)[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1)


def _plain(size: tuple[int, int]) -> int | list[int]:
    """Return a size as configs hold it: one number for a square, as published."""
    return size[0] if size[0] == size[1] else list(size)


def _byte_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE like RoBERTa's, but without merges: one token per byte."""
    tokens = (*SPECIALS, *sorted(ByteLevel.alphabet()))
    tokenizer = Tokenizer(BPE({token: i for i, token in enumerate(tokens)}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=BOS, pad_token=PAD, eos_token=EOS, unk_token=UNK
    )


def write_deepseek(folder: Path, alphabet: str, seed: int = 0) -> None:
    """Write a DeepSeek-OCR-2 of 0.3 M parameters whose tokeniser has one token per character.

    The native class always has 144 image tokens for a view of at most 768 pixels, so the tiny one
    keeps 12 × 12: 192 pixels, patches of 4, a factor of 4 in the neck. Its tiles are larger than
    any line, so there is one view only.
    """
    tokenizer = char_tokenizer(alphabet, (IMAGE,))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DeepseekOcr2ForConditionalGeneration(_deepseek_config(tokenizer))
        network.generation_config.pad_token_id = tokenizer.pad_token_id
        network.save_pretrained(folder)
    image_processor = DeepseekOcr2ImageProcessor(
        size={"height": 192, "width": 192}, tile_size=TILE_SIZE
    )
    processor = DeepseekOcr2Processor(
        image_processor=image_processor, tokenizer=tokenizer, patch_size=4, downsample_ratio=4
    )
    processor.save_pretrained(folder)


def _deepseek_config(tokenizer: PreTrainedTokenizerFast) -> DeepseekOcr2Config:
    """Return a config with the published keys and two narrow layers: dense, and of four experts."""
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4,
        "mlp_layer_types": ["dense", "sparse"], "n_routed_experts": 4, "n_shared_experts": 1,
        "num_experts_per_tok": 2, "moe_intermediate_size": 64, "n_group": 1, "topk_group": 1,
        "bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id, "max_position_embeddings": 2048,
        "initializer_range": 0.1,
    }  # fmt: skip
    sam = {
        "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 192,
        "patch_size": 4, "output_channels": 16, "downsample_channels": [16, 64],
        "global_attn_indexes": [], "window_size": 12, "initializer_range": 0.02,
    }  # fmt: skip
    encoder = {
        "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 128, "vocab_size": 1,
    }  # fmt: skip
    return DeepseekOcr2Config(
        text_config=text,
        vision_config={"sam_config": sam, "encoder_config": encoder},
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
    )
