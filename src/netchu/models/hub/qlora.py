"""QLoRA (Dettmers et al. 2023) that reaches the experts of a mixture too.

Transformers 5 keeps a layer's experts in two fused parameters (`experts.gate_up_proj` and
`experts.down_proj`, one slice for each expert). The library means reach them only in part:

- `BitsAndBytesConfig` replaces `nn.Linear`, so fused experts stay in 16 bits: 2.42 of the 2.9
  billion parameters of DeepSeek-OCR-2's text model.
- bitsandbytes can store such a parameter in 4 bits (`nn.parametrize.replace_parameter_4bit`), and
  peft can put LoRA on it (`target_parameters`), but not one on top of the other: peft 0.21 finds
  no parameter of that name where another parametrisation stands.

So `split_experts` gives every expert its own gate, up and down projection again, as the original
checkpoint has them. Each is a plain or a 4-bit linear layer, and the usual names reach them all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bitsandbytes as bnb
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import BitsAndBytesConfig

from netchu.core.errors import NetchuError

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The linear layers of attention and MLP (and so of each expert) that get an adapter."""

TRANSFORMERS_MOE = "transformers.integrations.moe"
"""Where the plain gate, activation(gate) × up, is defined; a model may bring another."""


def four_bit_config() -> BitsAndBytesConfig:
    """NF4 with double quantisation, computing in bfloat16."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


class Expert(nn.Module):
    """One gated MLP; its projections are linear layers without bias."""

    def __init__(self, gate: nn.Linear, up: nn.Linear, down: nn.Linear, act: nn.Module) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj, self.act_fn = gate, up, down, act

    def forward(self, hidden_ND: Tensor) -> Tensor:
        """Hidden states (N, D) of the tokens that were sent here -> (N, D)."""
        out: Tensor = self.down_proj(
            self.act_fn(self.gate_proj(hidden_ND)) * self.up_proj(hidden_ND)
        )
        return out


class SplitExperts(nn.Module):
    """The experts of one layer, each with its own linear layers; drop-in for the fused module.

    The list's name stands between `experts` and the number, so that no loader that fuses
    `experts.0.gate_proj` takes these for its own.
    """

    def __init__(self, single: list[Expert]) -> None:
        super().__init__()
        self.single = nn.ModuleList(single)

    def forward(self, hidden_ND: Tensor, chosen_NK: Tensor, weights_NK: Tensor) -> Tensor:
        """Sum over each token's K chosen experts of weight times output; (N, D) -> (N, D)."""
        total_ND = torch.zeros_like(hidden_ND)
        for number in sorted(set(chosen_NK.flatten().tolist())):
            token, place = torch.where(chosen_NK == number)
            out = self.single[number](hidden_ND[token]) * weights_NK[token, place, None]
            total_ND.index_add_(0, token, out.to(total_ND.dtype))
        return total_ND


def split_experts(model: nn.Module, four_bit: bool) -> int:
    """Split every fused mixture of `model` in place, in 4 bits if asked; return how many experts.

    A mixture of another layout (transposed, interleaved, with biases) or with a gate of its own is
    left as it is; `reach` counts what then stays behind.
    """
    count = 0
    for name, module in list(model.named_modules()):
        if _is_fused(module):
            experts = list(_unfuse(module, four_bit))
            model.set_submodule(name, SplitExperts(experts))
            count += len(experts)
    return count


def _is_fused(module: Any) -> bool:
    return (
        {name for name, _ in module.named_parameters(recurse=False)}
        == {"gate_up_proj", "down_proj"}
        and getattr(module, "is_concatenated", False)
        and not module.is_transposed
        and not module.has_post_expert_norm
        and module._apply_gate.__module__ == TRANSFORMERS_MOE
    )


def _unfuse(fused: Any, four_bit: bool) -> Iterator[Expert]:
    for gate_up, down in zip(fused.gate_up_proj.detach(), fused.down_proj.detach(), strict=True):
        gate, up = gate_up.chunk(2)
        layers = [_linear(weight, four_bit) for weight in (gate, up, down)]
        yield Expert(layers[0], layers[1], layers[2], fused.act_fn)


def _linear(weight_OI: Tensor, four_bit: bool) -> nn.Linear:
    """A frozen linear layer of `weight_OI`; on the meta device 4 bits are declared only."""
    outputs, inputs = weight_OI.shape
    layer: nn.Linear
    if not four_bit:
        layer = nn.Linear(inputs, outputs, bias=False, device="meta")
        layer.weight = nn.Parameter(weight_OI.clone(), requires_grad=False)
        return layer
    layer = bnb.nn.Linear4bit(
        inputs, outputs, bias=False, compute_dtype=torch.bfloat16, compress_statistics=True,
        quant_type="nf4", device="meta",
    )  # fmt: skip
    layer.requires_grad_(False)
    if not weight_OI.is_meta:
        packed = bnb.nn.Params4bit(
            weight_OI.contiguous(), requires_grad=False, compress_statistics=True, quant_type="nf4",
            module=layer,
        )  # fmt: skip
        layer.weight = packed.to(weight_OI.device)
    return layer


def keep_layout(model: nn.Module) -> None:
    """Keep 4-bit weights as they are when a CPU reads with them.

    On a CPU with AVX512-BF16, bitsandbytes would repack them in place at the first reading: that
    rounds their scales, wants multiples of 32 outputs, and makes figures depend on the machine.
    """
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def add_adapter(model: nn.Module, rank: int) -> PeftModel:
    """Freeze `model` and put LoRA of `rank` on every projection; alpha is twice the rank."""
    lora = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=rf".*\.({'|'.join(PROJECTIONS)})",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, lora)


def load_adapter(adapted: PeftModel, folder: Path) -> None:
    """Fill the adapter of `adapted` with what `save_pretrained` wrote into `folder`.

    Not by `PeftModel.from_pretrained`: peft 0.21 renames an adapter's weights as if they came from
    the original DeepSeek-OCR-2 checkpoint, finds no home for them, and goes on with fresh ones.

    Raises:
        NetchuError: no adapter there, or one of another base checkpoint, rank or layout.
    """
    mine = adapted.peft_config["default"].base_model_name_or_path
    try:
        theirs = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        saved = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError):
        raise NetchuError(f"{folder} holds no adapter; train deepseek_ocr to make it") from None
    if (base := theirs["base_model_name_or_path"]) != mine:
        raise NetchuError(
            f"the adapter in {folder} is for {base!r}, not for {mine!r}; "
            "set the checkpoint back or train it again"
        )
    own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    if {n: w.shape for n, w in own.items()} != {n: w.shape for n, w in saved.items()}:
        raise NetchuError(f"the adapter in {folder} has another rank or layout; train it again")
    for name, weight in own.items():
        weight.copy_(saved[name])


@dataclass(frozen=True)
class Reach:
    """What 4-bit storage and LoRA reach, in linear layers and in base parameters.

    adapted: linear layers with LoRA; adapted_experts: those of them that are an expert's.
    four_bit: linear layers in 4 bits. base: all base parameters; base_four_bit, base_adapted: those
    within such layers. trainable: the adapter's own.
    """

    adapted: int
    adapted_experts: int
    four_bit: int
    base: int
    base_four_bit: int
    base_adapted: int
    trainable: int


def reach(adapted: nn.Module) -> Reach:
    """Count what `add_adapter` and 4-bit storage reached in `adapted`."""
    linear = {
        n: m for n, m in adapted.named_modules() if isinstance(m, nn.Linear) and "lora_" not in n
    }
    with_lora = {n: m for n, m in linear.items() if n.endswith(".base_layer")}
    packed = {n: m for n, m in linear.items() if isinstance(m, bnb.nn.Linear4bit)}
    return Reach(
        adapted=len(with_lora),
        adapted_experts=sum(".experts.single." in name for name in with_lora),
        four_bit=len(packed),
        base=sum(_elements(p) for n, p in adapted.named_parameters() if "lora_" not in n),
        base_four_bit=sum(m.in_features * m.out_features for m in packed.values()),
        base_adapted=sum(m.in_features * m.out_features for m in with_lora.values()),
        trainable=sum(p.numel() for p in adapted.parameters() if p.requires_grad),
    )


def _elements(parameter: nn.Parameter) -> int:
    """Number of weights; a packed 4-bit parameter holds two in each byte."""
    packed = isinstance(parameter, bnb.nn.Params4bit) and parameter.bnb_quantized
    return parameter.numel() * (2 if packed else 1)
