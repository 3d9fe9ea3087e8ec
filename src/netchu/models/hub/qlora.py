"""QLoRA (Dettmers et al. 2023) that includes the experts of a mixture of experts (MoE).

Transformers 5 stores a layer's experts in two fused parameters (`experts.gate_up_proj` and
`experts.down_proj`, one slice per expert), which the libraries support only in part:

- `BitsAndBytesConfig` replaces `nn.Linear`, so fused experts stay in 16 bits: 2.42 of the 2.9
  billion parameters of DeepSeek-OCR-2's text model.
- bitsandbytes can store such a parameter in 4 bits (`nn.parametrize.replace_parameter_4bit`), and
  peft can add LoRA to it (`target_parameters`), but not both: peft 0.21 does not find a parameter
  that is parametrised already.

So `split_experts` gives every expert its own gate, up and down projection again, as in the original
checkpoint. Each is a plain or a 4-bit linear layer with the usual name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
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
"""The linear layers of attention and MLP, and so of each expert, that get LoRA."""

ADAPTER_CONFIG = "adapter_config.json"

TRANSFORMERS_MOE = "transformers.integrations.moe"
"""Module that defines the plain gate, activation(gate) × up; a model may define another."""


def four_bit_config(computed_in: torch.dtype | None) -> BitsAndBytesConfig:
    """Return a config for NF4 with double quantisation.

    Args:
        computed_in: the type of the checkpoint's weights, to which they are unpacked; None is
            bfloat16. In float32 a CPU without instructions for bfloat16 is three times as fast.
    """
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=computed_in or torch.bfloat16,
    )


class Expert(nn.Module):
    """One gated MLP; its projections are linear layers without bias."""

    def __init__(self, gate: nn.Linear, up: nn.Linear, down: nn.Linear, act: nn.Module) -> None:
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj, self.act_fn = gate, up, down, act

    def forward(self, hidden_ND: Tensor) -> Tensor:
        """Return outputs (N, D) for hidden states (N, D) of the tokens routed to this expert."""
        out: Tensor = self.down_proj(
            self.act_fn(self.gate_proj(hidden_ND)) * self.up_proj(hidden_ND)
        )
        return out


class SplitExperts(nn.Module):
    """The experts of one layer, each with its own linear layers, in place of the fused module.

    The list is called `single`, because loaders would fuse weights called `experts.0.gate_proj`.
    """

    def __init__(self, single: list[Expert]) -> None:
        super().__init__()
        self.single = nn.ModuleList(single)

    def forward(self, hidden_ND: Tensor, chosen_NK: Tensor, weights_NK: Tensor) -> Tensor:
        """Return for each token the weighted sum (N, D) of the outputs of its K experts."""
        total_ND = torch.zeros_like(hidden_ND)
        for number in sorted(set(chosen_NK.flatten().tolist())):
            token, rank = torch.where(chosen_NK == number)
            out = self.single[number](hidden_ND[token]) * weights_NK[token, rank, None]
            total_ND.index_add_(0, token, out.to(total_ND.dtype))
        return total_ND


def split_experts(model: nn.Module, four_bit: bool) -> int:
    """Split every fused MoE layer of `model` in place; return the number of experts.

    A layer with another layout (transposed, interleaved, with biases) or another gate is not split;
    a test counts what has LoRA and 4 bits in the published model.

    Args:
        model: the base model.
        four_bit: store the experts in 4 bits.
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
    """Return a frozen linear layer of `weight_OI`; meta tensors are not packed into 4 bits."""
    outputs, inputs = weight_OI.shape
    layer: nn.Linear
    if not four_bit:
        layer = nn.Linear(inputs, outputs, bias=False, device="meta")
        layer.weight = nn.Parameter(weight_OI.clone(), requires_grad=False)
        return layer
    layer = bnb.nn.Linear4bit(
        inputs, outputs, bias=False, compute_dtype=weight_OI.dtype, compress_statistics=True,
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


def disable_cpu_repacking(model: nn.Module) -> None:
    """Prevent bitsandbytes from repacking 4-bit weights on a CPU with AVX512-BF16.

    Repacking rounds their scales, requires multiples of 32 outputs, and makes results depend on
    the machine.
    """
    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def add_adapter(model: nn.Module, rank: int) -> PeftModel:
    """Freeze `model` and add LoRA of `rank` to every projection; alpha is twice the rank."""
    lora = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=rf".*\.({'|'.join(PROJECTIONS)})",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, lora)


def has_adapter(folder: Path) -> bool:
    """Return whether `save_pretrained` of an adapted model wrote into `folder`."""
    return (folder / ADAPTER_CONFIG).exists()


def load_adapter(adapted: PeftModel, folder: Path) -> None:
    """Load the adapter that `save_pretrained` wrote into `folder` into `adapted`.

    `PeftModel.from_pretrained` cannot: peft 0.21 renames an adapter's weights as if they came from
    the original DeepSeek-OCR-2 checkpoint, matches none of them, and keeps new ones.

    Raises:
        NetchuError: there is no adapter, or it has another base checkpoint, rank or layout.
    """
    base = adapted.peft_config["default"].base_model_name_or_path
    try:
        saved_config = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        saved = load_file(folder / "adapter_model.safetensors")
    except (OSError, ValueError):
        raise NetchuError(f"{folder} holds no adapter; train deepseek_ocr to make it") from None
    if (saved_base := saved_config["base_model_name_or_path"]) != base:
        raise NetchuError(
            f"the adapter in {folder} is for {saved_base!r}, not for {base!r}; "
            "restore the checkpoint in the config or train it again"
        )
    own = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    if {n: w.shape for n, w in own.items()} != {n: w.shape for n, w in saved.items()}:
        raise NetchuError(f"the adapter in {folder} has another rank or layout; train it again")
    for name, weight in own.items():
        weight.copy_(saved[name])
