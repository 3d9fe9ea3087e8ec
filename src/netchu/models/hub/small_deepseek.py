"""A small DeepSeek-OCR-2 in the hub's format, whose random weights are pretrained before use.

It has the classes, config keys and files of the published checkpoint. Its view is one line, a
rectangle of narrow patches, so that a letter spans more than a column; in a square view of 144
image tokens a line is tiny. The native class takes such a view if SAM has neither absolute
positions nor global attention. Only the published image processor makes squares, so the network
prepares the pixel values itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    DeepseekOcr2Config,
    DeepseekOcr2ForConditionalGeneration,
    DeepseekOcr2ImageProcessor,
    DeepseekOcr2Processor,
    PreTrainedTokenizerFast,
)

from netchu.core.errors import NetchuError
from netchu.models.hub.char_tokenizer import char_tokenizer
from netchu.models.hub.own_checkpoints import IMAGE, TILE_SIZE

VIEW_TOKENS = 144
"""Image tokens of a view; the native class has as many queries for at most 144 patches."""

PATCH_WIDTH = 2
"""Width of SAM's patches in pixels; their height is a quarter of the view's."""

DOWNSAMPLING = 4
"""Patches of SAM, in height and in width, that its convolutions merge into one."""

HEADS = 2
"""Attention heads of vision encoder and decoder; each takes as long as a head of any size."""

LOOK_BACK = 1.7
"""Size of the constant queries and keys of a head that looks back; larger ones make it narrower."""

TEXT_LEVEL, IMAGE_LEVEL = 0.3, 2.4
"""First value of every embedding of a character and of an image token, which are constant so that
the decoder's queries and keys can be: each is 2.8 times the root mean square of all values."""


def column_width(config: DeepseekOcr2Config) -> int:
    """Return the width in pixels of a column of merged patches, which fills the view's height."""
    width: int = config.vision_config.sam_config.patch_size[1]
    return width * DOWNSAMPLING


def write_small_deepseek(
    folder: Path,
    alphabet: str,
    image_size: tuple[int, int],
    instruction: str,
    *,
    hidden: int,
    layers: int,
    seed: int = 0,
) -> None:
    """Write a small DeepSeek-OCR-2 whose tokeniser has one token per character.

    It has 0.2 M parameters with a hidden size of 64 and one layer, 1.3 M with 128 and four.

    Args:
        folder: must exist.
        alphabet: the characters that it can read.
        image_size: height and width of a view in pixels.
        instruction: text between image and answer.
        hidden: hidden size of vision encoder and decoder.
        layers: layers of the vision encoder.
        seed: of the weights.

    Raises:
        NetchuError: patches do not fill the view, merged ones are more than its image tokens, or
            the attention heads do not divide the hidden size.
    """
    if hidden % (2 * HEADS):
        raise NetchuError(
            f"deepseek_ocr: hidden {hidden} is no multiple of {2 * HEADS}, which {HEADS} attention "
            "heads with rotary positions need"
        )
    height, width = image_size
    columns, rest = divmod(width, DOWNSAMPLING * PATCH_WIDTH)
    if height % DOWNSAMPLING or rest or columns > VIEW_TOKENS:
        raise NetchuError(
            f"deepseek_ocr: 'small' has no view of {height} × {width} pixels; its height is a "
            f"multiple of {DOWNSAMPLING}, its width one of {DOWNSAMPLING * PATCH_WIDTH} up to "
            f"{DOWNSAMPLING * PATCH_WIDTH * VIEW_TOKENS}"
        )
    tokenizer = char_tokenizer(alphabet, (IMAGE,))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DeepseekOcr2ForConditionalGeneration(
            _config(tokenizer, image_size, hidden, layers)
        )
    network.generation_config.pad_token_id = tokenizer.pad_token_id
    _let_queries_look_back(network.model, columns)
    _let_answers_look_back(network.model, VIEW_TOKENS + len(instruction) - 1)
    network.save_pretrained(folder)
    # It counts 12 × 12 image tokens; the network makes the views.
    image_processor = DeepseekOcr2ImageProcessor(
        size={"height": 192, "width": 192}, tile_size=TILE_SIZE
    )
    DeepseekOcr2Processor(
        image_processor=image_processor, tokenizer=tokenizer, patch_size=4, downsample_ratio=4
    ).save_pretrained(folder)


def _config(
    tokenizer: PreTrainedTokenizerFast, image_size: tuple[int, int], hidden: int, layers: int
) -> DeepseekOcr2Config:
    """Return a config with the published keys: a windowed SAM layer, layers of the vision encoder,
    and two of the decoder, dense and of four experts.
    """
    text = {
        "vocab_size": len(tokenizer), "hidden_size": hidden, "intermediate_size": 2 * hidden,
        "num_hidden_layers": 2, "num_attention_heads": HEADS, "num_key_value_heads": HEADS,
        "mlp_layer_types": ["dense", "sparse"], "n_routed_experts": 4, "n_shared_experts": 1,
        "num_experts_per_tok": 2, "moe_intermediate_size": hidden // 2, "n_group": 1,
        "topk_group": 1, "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
        "max_position_embeddings": 2048, "initializer_range": 0.1, "tie_word_embeddings": True,
    }  # fmt: skip
    sam = {
        "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "mlp_ratio": 2.0,
        "image_size": list(image_size), "patch_size": [image_size[0] // DOWNSAMPLING, PATCH_WIDTH],
        "output_channels": 32, "downsample_channels": [48, hidden], "use_abs_pos": False,
        "global_attn_indexes": [], "window_size": DOWNSAMPLING, "initializer_range": 0.1,
    }  # fmt: skip
    encoder = {
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS, "intermediate_size": 2 * hidden, "vocab_size": 1,
        "initializer_range": 0.1,
    }  # fmt: skip
    return DeepseekOcr2Config(
        text_config=text,
        vision_config={"sam_config": sam, "encoder_config": encoder},
        image_token_id=tokenizer.convert_tokens_to_ids(IMAGE),
        tie_word_embeddings=True,
    )


@torch.no_grad()
def _let_queries_look_back(model: Any, columns: int) -> None:
    """Let a head of the vision encoder start by copying, for each query, the column of its number.

    The queries follow the columns. With a random head each starts with the mean of all of them.
    """
    encoder = model.vision_tower.vision_encoder
    attention = encoder.layers[0].self_attn
    query, key = _constant_heads(encoder.rotary_emb.inv_freq, columns)
    attention.q_proj.bias[: len(query)] = query
    attention.k_proj.bias[: len(key)] = key
    _copy(attention, len(query))


@torch.no_grad()
def _let_answers_look_back(model: Any, distance: int) -> None:
    """Let a head of the decoder start by copying, for each character, the image token before it by
    `distance`: columns are nearly as wide as characters, so the right one is near.

    Attention in the decoder has no biases, so the constants come from the first value of every
    embedding, which is the same for all.
    """
    decoder = model.language_model
    attention = decoder.layers[0].self_attn
    weights_VC = decoder.embed_tokens.weight
    weights_VC[:, 0] = TEXT_LEVEL
    model.multi_modal_projector.bias[0] = IMAGE_LEVEL
    query, key = _constant_heads(decoder.rotary_emb.inv_freq, distance)
    level = TEXT_LEVEL / weights_VC.square().mean().sqrt()
    attention.q_proj.weight[: len(query), 0] = query / level
    attention.k_proj.weight[: len(key), 0] = key / level
    _copy(attention, len(query))


def _constant_heads(frequencies_F: Tensor, distance: int) -> tuple[Tensor, Tensor]:
    """Return a query and a key (2·F) whose product is largest at `distance`.

    Rotary positions turn it into a sum of cosines of the distance; the query is turned so that all
    are in phase there.
    """
    turned_F = distance * frequencies_F
    query = torch.cat([turned_F.cos(), -turned_F.sin()])
    key = torch.cat([torch.ones_like(turned_F), torch.zeros_like(turned_F)])
    return LOOK_BACK * query, LOOK_BACK * key


def _copy(attention: Any, size: int) -> None:
    """Let the first head, of `size` values, add those after the first of what it looks at."""
    selected_SC = torch.eye(attention.v_proj.in_features)[1 : size + 1]
    attention.v_proj.weight[:size] = selected_SC
    attention.o_proj.weight[:, :size] = selected_SC.T
