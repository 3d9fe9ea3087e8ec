import json
import shutil
from dataclasses import dataclass, replace

import bitsandbytes as bnb
import pytest
import torch
from torch.nn import functional as F
from transformers import (
    AutoModelForImageTextToText,
    CLIPImageProcessor,
    CLIPVisionConfig,
    DeepseekOcr2Config,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)
from transformers.quantizers.auto import AutoHfQuantizer

from netchu.core.errors import NetchuError
from netchu.core.files import hash_folder
from netchu.core.text import ALPHABET
from netchu.data.batches import LineBatch
from netchu.imaging.preparation import Preprocessing
from netchu.models import network_class
from netchu.models.ctc_prefix import CTCPrefixScorer
from netchu.models.hub import hub_note
from netchu.models.hub.char_tokenizer import char_tokenizer
from netchu.models.hub.own_checkpoints import write_deepseek
from netchu.models.hub.qlora import (
    SplitExperts,
    add_adapter,
    four_bit_config,
    split_experts,
)
from netchu.models.hub.tokens import read_tokens
from netchu.models.networks.deepseek_ocr import DeepSeekOCR, DeepSeekOCRSettings

TEXTS = ("Thị xã", "đường Nguyễn", "quý hoà", "Ặ 12/3")
TINY = DeepSeekOCRSettings("tiny", height=48, max_new_tokens=24, gradient_checkpointing=False)
SMALL = replace(TINY, checkpoint="small", height=24, image_width=224, ctc_weight=0.5)


def lines(texts=TEXTS):
    images = torch.rand(len(texts), 1, 48, 200, generator=torch.Generator().manual_seed(1))
    widths = torch.tensor([100, 200, 150, 180])[: len(texts)]
    ids = tuple(map(str, range(len(texts))))
    return LineBatch(images, widths, tuple(texts), ids, ("line",) * len(texts))


def made(config=TINY):
    torch.manual_seed(3)
    return DeepSeekOCR(config, ALPHABET)


def pretrained(folder, steps=2):
    """A recogniser of the small checkpoint, pretrained for `steps` steps and saved in `folder`."""
    recogniser = made(SMALL)
    trained(recogniser, narrow_lines(), steps)
    folder.mkdir()
    recogniser.save(folder)
    return recogniser.eval()


def narrow_lines():
    """Lines of the height of the small checkpoint."""
    batch = lines()
    return replace(batch, images_BCHW=batch.images_BCHW[:, :, :24])


def open_tiny(folder):
    write_deepseek(folder, ALPHABET)
    return AutoModelForImageTextToText.from_pretrained(folder)


def trained(recogniser, batch, steps):
    """Losses of `steps` steps of 8-bit AdamW on one batch."""
    parameters = [p for p in recogniser.parameters() if p.requires_grad]
    optimiser = bnb.optim.AdamW8bit(parameters, lr=5e-3)
    losses = []
    for _ in range(steps):
        loss = recogniser.loss(batch)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return losses


def test_it_is_found_by_name_and_notes_the_tiny_checkpoint():
    assert network_class("deepseek_ocr") is DeepSeekOCR
    assert made().hub_note == hub_note("tiny")


def test_qlora_steps_change_only_the_adapter_and_lower_the_loss():
    recogniser, batch = made(), lines()
    before = {name: p.detach().clone() for name, p in recogniser.named_parameters()}
    assert any(isinstance(p, bnb.nn.Params4bit) for p in recogniser.parameters())
    losses = trained(recogniser, batch, 30)
    assert all(torch.isfinite(torch.tensor(losses)))
    assert losses[-1] < losses[0] / 2
    for name, now in recogniser.named_parameters():
        assert torch.equal(before[name], now) != (".lora_" in name), name
        assert now.requires_grad == (".lora_" in name)


@pytest.mark.parametrize("change", [{"four_bit": False}, {"gradient_checkpointing": True}])
def test_it_trains_in_16_bits_and_with_gradient_checkpointing(change):
    losses = trained(made(replace(TINY, **change)), lines(), 8)
    assert losses[-1] < losses[0]


def test_pretraining_changes_every_weight_and_saves_what_from_pretrained_loads(tmp_path):
    before = {name: p.detach().clone() for name, p in made(SMALL).named_parameters()}
    recogniser = pretrained(tmp_path / "pretrain", steps=3)
    unchanged = [n for n, p in recogniser.named_parameters() if torch.equal(before[n], p)]
    assert unchanged == ["model.model.vision_tower.query_1024_resolution.weight"]
    assert [path.name for path in (tmp_path / "pretrain").iterdir()] == ["base"]
    loaded = AutoModelForImageTextToText.from_pretrained(tmp_path / "pretrain" / "base").eval()
    assert type(loaded).__name__ == "DeepseekOcr2ForConditionalGeneration"
    inputs, _ = recogniser.supervised(narrow_lines())
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).logits, recogniser.model(**inputs).logits)


def test_finetuning_a_pretrained_base_changes_only_the_adapter(tmp_path):
    pretrained(tmp_path / "pretrain")
    recogniser = DeepSeekOCR.load(tmp_path / "pretrain", SMALL, ALPHABET)
    assert any(isinstance(p, bnb.nn.Params4bit) for p in recogniser.parameters())
    recogniser.loss(narrow_lines())  # at first, bitsandbytes rounds the biases of 4-bit layers
    before = {name: p.detach().clone() for name, p in recogniser.named_parameters()}
    trained(recogniser, narrow_lines(), 3)
    changed = {n for n, now in recogniser.named_parameters() if not torch.equal(before[n], now)}
    assert all(".lora_" in name for name in changed)
    # An expert that no token is routed to keeps its adapter.
    assert changed >= {name for name in recogniser.state_dict() if ".experts." not in name}
    assert all(".lora_" in name for name in recogniser.state_dict())


def test_a_finetuned_model_keeps_its_base_and_zero_shot_reads_with_it(tmp_path):
    pretrained(tmp_path / "pretrain", steps=12)
    config = replace(SMALL, four_bit=False)
    recogniser, batch = DeepSeekOCR.load(tmp_path / "pretrain", config, ALPHABET), narrow_lines()
    at_first = recogniser.eval().transcribe(batch)
    trained(recogniser.train(), batch, 12)
    (tmp_path / "finetune").mkdir()
    recogniser.save(tmp_path / "finetune")
    assert hash_folder(tmp_path / "finetune" / "base") == hash_folder(
        tmp_path / "pretrain" / "base"
    )
    shutil.rmtree(tmp_path / "pretrain")
    again = DeepSeekOCR.load(tmp_path / "finetune", config, ALPHABET).eval()
    read = {name: way(batch) for name, way in again.variants().items()}
    assert read["guarded"] == recogniser.eval().transcribe(batch)
    assert read["zero_shot"] == at_first != read["guarded"]


def test_a_line_reads_the_same_however_much_paper_follows(tmp_path):
    recogniser, batch = made(SMALL).eval(), narrow_lines()
    assert recogniser.preprocessing == Preprocessing("grey", 24, 224)
    wider = replace(batch, images_BCHW=F.pad(batch.images_BCHW, (0, 24)))
    assert recogniser.transcribe(wider) == recogniser.transcribe(batch)


def test_the_ctc_loss_looks_at_the_columns_of_the_line_only():
    recogniser, batch = made(SMALL), narrow_lines()
    with torch.no_grad():
        both = recogniser.loss(batch)
        recogniser.config = replace(SMALL, ctc_weight=0.0)
        plain = recogniser.loss(batch)
    assert both > plain
    recogniser.config = SMALL
    # Columns of letters and blanks, and then some that say nothing: they are no part of the line.
    head = recogniser.ctc_head
    ids, blank = recogniser._answer("Xã")[:-1], head.blank
    weights_VC = head.weight.detach()
    weights_VC[blank].normal_(std=0.1)  # the embedding of padding is zero at first
    tokens_BTC = torch.zeros(1, 145, 64)
    tokens_BTC[0, :4] = 50 * F.normalize(weights_VC[[ids[0], blank, ids[1], blank]], dim=1)
    one = LineBatch(batch.images_BCHW[:1], torch.tensor([32]), ("Xã",), ("x",), ("line",))
    read = head.loss(*recogniser._columns(list(tokens_BTC), one), [ids])
    longer = replace(one, widths_B=torch.tensor([64]))
    assert read < 0.1 < head.loss(*recogniser._columns(list(tokens_BTC), longer), [ids])


def test_the_ctc_head_takes_part_in_reading():
    recogniser, batch = made(SMALL).eval(), narrow_lines()
    alone = {reading.text for reading in recogniser.transcribe(batch)}
    letter = recogniser._answer("ả")[0]
    with torch.no_grad():
        recogniser.ctc_head.weight.zero_()
        recogniser.ctc_head.bias.fill_(-50.0)[letter] = 50.0
    recogniser.config = replace(SMALL, ctc_reading_weight=5.0)
    assert "ả" not in alone
    assert [reading.text for reading in recogniser.transcribe(batch)] == ["ả"] * len(batch.texts)


def test_the_first_character_has_the_joint_score_of_decoder_and_ctc_head():
    recogniser, batch = made(replace(SMALL, ctc_steps=2)).eval(), narrow_lines()
    recogniser.config = replace(recogniser.config, ctc_reading_weight=0.7, repetition_penalty=1.0)
    tokenizer = recogniser.tokenizer
    with torch.inference_mode():
        output = recogniser.model(**recogniser._question(batch))
        columns = torch.stack(tuple(output.image_hidden_states))[:, : 224 // 8]
        head = recogniser.ctc_head(columns).softmax(-1)
        steps = 2 * (batch.widths_B / 8).ceil().long()
        blank, end = tokenizer.pad_token_id, tokenizer.eos_token_id
        scorer = CTCPrefixScorer(head, steps, blank, end, 0.7)
        scores = output.logits[:, -1].log_softmax(-1) + scorer.gains(scorer.empty())
    wanted = tokenizer.convert_ids_to_tokens(scores.argmax(-1).tolist())
    firsts = [reading.text[:1] for reading in recogniser.transcribe(batch)]
    assert firsts == ["" if token in tokenizer.all_special_tokens else token for token in wanted]
    assert any(firsts)


def test_views_are_encoded_once_for_decoder_and_ctc_head():
    recogniser, encoded = made(SMALL).eval(), []
    recogniser.config = replace(SMALL, ctc_reading_weight=1.0)
    recogniser.base.model.vision_tower.register_forward_hook(lambda *_: encoded.append(1))
    recogniser.transcribe(narrow_lines())
    assert len(encoded) == 1


def test_the_ctc_head_is_a_part_of_the_base(tmp_path):
    head = pretrained(tmp_path / "pretrain").ctc_head.weight
    tuned = DeepSeekOCR.load(tmp_path / "pretrain", SMALL, ALPHABET)
    trained(tuned, narrow_lines(), 2)
    (tmp_path / "finetune").mkdir()
    tuned.save(tmp_path / "finetune")
    again = DeepSeekOCR.load(tmp_path / "finetune", SMALL, ALPHABET)
    assert torch.equal(again.ctc_head.weight, head)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_ctc_head_of_one_step_shares_the_output_layer_while_all_weights_train(tmp_path, steps):
    config = replace(SMALL, ctc_steps=steps)
    recogniser = made(config)
    assert (recogniser.ctc_head.weight is recogniser.base.lm_head.weight) == (steps == 1)
    (tmp_path / "pretrain").mkdir()
    recogniser.save(tmp_path / "pretrain")
    tuned = DeepSeekOCR.load(tmp_path / "pretrain", config, ALPHABET)
    assert torch.equal(tuned.ctc_head.weight, recogniser.ctc_head.weight)
    assert not tuned.ctc_head.weight.requires_grad


def test_small_has_the_hidden_size_and_layers_of_the_config():
    recogniser = made(replace(SMALL, hidden=96, layers=3))
    encoder = recogniser.base.model.vision_tower.vision_encoder
    assert len(encoder.layers) == 3
    assert (
        recogniser.base.lm_head.in_features == 96 == encoder.layers[0].self_attn.q_proj.in_features
    )
    assert torch.isfinite(recogniser.loss(narrow_lines()))


def test_heads_of_encoder_and_decoder_start_by_looking_back():
    recogniser = made(SMALL).eval()
    model = recogniser.base.model
    encoder, decoder = model.vision_tower.vision_encoder, model.language_model
    seen = []
    for part in (encoder, decoder):
        part.config._attn_implementation = "eager"
        part.layers[0].self_attn.register_forward_hook(lambda m, i, out: seen.append(out[1]))
    inputs, labels_BL = recogniser.supervised(narrow_lines())
    with torch.no_grad():
        recogniser.model(**inputs)
    columns = 224 // 8
    assert most_seen(seen[0], range(columns, 2 * columns), columns) == pytest.approx(columns, abs=1)
    # The question is 144 image tokens, a separator, a line break and nine letters.
    first = (labels_BL[0] != -100).nonzero()[0].item() - 1
    assert first == 145 + 9
    assert most_seen(seen[1], range(first, first + 6), 144) == pytest.approx(152, abs=2)


def most_seen(weights_BHQK, queries, keys):
    """The distance at which the first head's weights are largest on average, among first keys."""
    at = {}
    for query in queries:
        for key in range(keys):
            at.setdefault(query - key, []).append(weights_BHQK[:, 0, query, key].mean().item())
    return max(at, key=lambda distance: sum(at[distance]) / len(at[distance]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_width": 0}, "needs an image_width"),
        ({"checkpoint": "tiny", "ctc_weight": 0.0}, "set image_width: 0"),
        ({"checkpoint": "tiny", "image_width": 0}, "set ctc_weight: 0"),
        ({"hidden": 66}, "hidden 66 is no multiple of 4"),
        ({"height": 26}, "no view of 26 × 224"),
        ({"image_width": 228}, "no view of 24 × 228"),
        ({"image_width": 1160}, "up to 1152"),
    ],
)
def test_a_view_that_the_checkpoint_does_not_take_is_refused(change, message):
    with pytest.raises(NetchuError, match=message):
        made(replace(SMALL, **change))


def write_llava(folder):
    """A tiny checkpoint of another architecture, with a chat template and no experts."""
    tokenizer = char_tokenizer(ALPHABET, ("<image>",))
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            image_size=32, patch_size=8, projection_dim=32,
        ),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, num_key_value_heads=2, bos_token_id=0, eos_token_id=2,
            pad_token_id=1,
        ),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    template = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>"
        "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}:"
    )
    eye = CLIPImageProcessor(
        size={"height": 32, "width": 32}, crop_size={"height": 32, "width": 32}
    )
    LlavaProcessor(
        eye, tokenizer, patch_size=8, vision_feature_select_strategy="default",
        chat_template=template, num_additional_image_tokens=1,
    ).save_pretrained(folder)  # fmt: skip


def test_a_checkpoint_of_another_architecture_trains_and_reads(tmp_path):
    write_llava(tmp_path / "llava")
    config = replace(TINY, checkpoint=str(tmp_path / "llava"))
    recogniser, batch = made(config), lines()
    assert recogniser.hub_note == ""
    assert recogniser._prompt() == "<image>Free OCR.:"
    losses = trained(recogniser, batch, 8)
    assert losses[-1] < losses[0]
    readings = recogniser.eval().transcribe(batch)
    assert len(readings) == len(TEXTS)
    recogniser.save(tmp_path)
    assert DeepSeekOCR.load(tmp_path, config, ALPHABET).eval().transcribe(batch) == readings


def test_splitting_the_experts_changes_no_output(tmp_path):
    model = open_tiny(tmp_path)
    ids = torch.arange(5, 40)[None]
    with torch.no_grad():
        fused = model(input_ids=ids).logits
        assert split_experts(model, four_bit=False) == 4
        split = model(input_ids=ids).logits
    torch.testing.assert_close(split, fused)
    assert sum(isinstance(module, SplitExperts) for module in model.modules()) == 1


def test_four_bit_experts_approximate_the_full_ones(tmp_path):
    model = open_tiny(tmp_path)
    experts = model.model.language_model.layers[1].mlp.experts
    full = experts.down_proj[0].detach().clone()
    split_experts(model, four_bit=True)
    layer = model.model.language_model.layers[1].mlp.experts.single[0].down_proj
    assert layer.weight.dtype == torch.uint8
    assert layer.weight.numel() * 2 == full.numel()
    stored = bnb.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    error = (stored.float() - full).abs().mean() / full.abs().mean()
    assert 0 < error < 0.15


def test_labels_are_the_text_and_its_end_and_mask_the_prompt():
    recogniser = made()
    inputs, labels_BL = recogniser.supervised(lines())
    ids_BL = inputs["input_ids"]
    assert ids_BL.shape == labels_BL.shape == inputs["attention_mask"].shape
    image = recogniser.processor.image_token_id
    for row, labels, text in zip(ids_BL, labels_BL, TEXTS, strict=True):
        supervised = labels[labels != -100]
        assert supervised[-1] == recogniser.tokenizer.eos_token_id
        assert recogniser.tokenizer.decode(supervised[:-1]) == text
        assert torch.equal(supervised, row[labels != -100])
        assert (labels[row == image] == -100).all()
        assert (row == image).sum() == 145
    assert (labels_BL != -100).sum() == sum(map(len, TEXTS)) + len(TEXTS)


def test_padding_does_not_change_the_loss_of_a_line():
    recogniser = made().eval()
    with torch.no_grad():
        together = recogniser.loss(lines())
        one_by_one = []
        for i, text in enumerate(TEXTS):
            batch = lines()
            alone = LineBatch(
                batch.images_BCHW[i : i + 1], batch.widths_B[i : i + 1], (text,), ("x",), ("line",)
            )
            one_by_one.append(recogniser.loss(alone) * (len(text) + 1))
    counted = sum(len(text) + 1 for text in TEXTS)
    torch.testing.assert_close(sum(one_by_one) / counted, together, rtol=2e-2, atol=0)


def test_it_has_three_variants_and_reads_the_same_after_save_and_load(tmp_path):
    recogniser, batch = made(), lines()
    trained(recogniser, batch, 8)
    recogniser.eval()
    variants = recogniser.variants()
    read = {name: way(batch) for name, way in variants.items()}
    assert list(read) == ["guarded", "unguarded", "zero_shot"]
    for readings in read.values():
        assert len(readings) == len(TEXTS)
        assert all(len(r.text) == len(r.character_confidences) for r in readings)
        assert all(0 <= r.confidence <= 1 for r in readings)
    assert read["zero_shot"] == made().eval().transcribe(batch) != read["guarded"]
    recogniser.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"
    again = DeepSeekOCR.load(tmp_path, TINY, ALPHABET).eval()
    assert again.transcribe(batch) == read["guarded"]
    again.save(tmp_path / "again")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / name).read_bytes()


def test_reading_does_not_change_the_base():
    recogniser = made().eval()
    before = {name: p.detach().clone() for name, p in recogniser.named_parameters()}
    recogniser.transcribe(lines())
    assert all(torch.equal(before[name], p) for name, p in recogniser.named_parameters())


def test_the_guard_prevents_repetition():
    guarded = replace(TINY, repetition_penalty=1.0, no_repeat_ngram_size=2)
    recogniser = made(guarded).eval()
    free = recogniser.transcribe(lines(), guarded=False)
    kept = recogniser.transcribe(lines())
    assert any(repeats(reading.text) for reading in free)
    assert not any(repeats(reading.text) for reading in kept)
    assert recogniser.looped("vô tận " * 8)
    assert recogniser.looped("abcdefghijklmnopqrstuvwxyz"[: TINY.max_new_tokens])
    assert not recogniser.looped("12 phố Huế, 100000")


def repeats(text):
    pairs = [text[i : i + 2] for i in range(len(text) - 1)]
    return len(pairs) != len(set(pairs))


def test_state_dict_holds_only_the_adapter():
    recogniser = made()
    weights = recogniser.state_dict()
    assert weights
    assert all(".lora_" in name for name in weights)
    changed = {name: value + 1 for name, value in weights.items()}
    recogniser.load_state_dict(changed)
    assert all(torch.equal(recogniser.state_dict()[name], changed[name]) for name in changed)
    with pytest.raises(NetchuError, match="another adapter"):
        recogniser.load_state_dict(dict(list(changed.items())[1:]))


def test_a_text_of_more_than_max_new_tokens_is_rejected():
    recogniser = made()
    assert recogniser.rejection_reason("a" * 23, 200) == ""
    assert "25 tokens for a max_new_tokens of 24" in recogniser.rejection_reason("a" * 24, 200)


def test_the_confidence_of_a_character_is_the_product_over_its_tokens():
    class Bytes:
        """A tokeniser whose tokens are bytes."""

        def decode(self, ids, skip_special_tokens):
            return bytes(ids).decode("utf-8", errors="replace")

    ids = [*"tế ".encode(), 0xE1]
    text, characters = read_tokens(Bytes(), ids, [0.5, 0.5, 0.5, 0.5, 1.0, 0.25])
    assert text == "tế"
    assert characters == (0.5, 0.125)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    marks = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(len(marks))  # what was drawn before must not matter
        write_deepseek(tmp_path / place, ALPHABET, seed)
        marks.append(hash_folder(tmp_path / place))
    assert marks[0] == marks[1] != marks[2]


def test_an_adapter_of_another_base_or_rank_is_refused(tmp_path):
    made().save(tmp_path)
    with pytest.raises(NetchuError, match="another rank or layout"):
        DeepSeekOCR.load(tmp_path, replace(TINY, rank=8), ALPHABET)
    with pytest.raises(NetchuError, match="holds no adapter"):
        DeepSeekOCR.load(tmp_path / "nowhere", TINY, ALPHABET)
    base = tmp_path / "base"
    write_deepseek(base, ALPHABET)
    with pytest.raises(NetchuError, match="is for 'tiny'"):
        DeepSeekOCR.load(tmp_path, replace(TINY, checkpoint=str(base)), ALPHABET)


@dataclass(frozen=True)
class Coverage:
    """How much of a model has LoRA and 4-bit storage.

    Attributes:
        adapted: linear layers with LoRA.
        adapted_experts: those of them that belong to an expert.
        four_bit: linear layers in 4 bits.
        base: all parameters of the base.
        base_four_bit: those of them in 4-bit layers.
        base_adapted: those of them in layers with LoRA.
        trainable: parameters of the adapter.
    """

    adapted: int
    adapted_experts: int
    four_bit: int
    base: int
    base_four_bit: int
    base_adapted: int
    trainable: int


def count_coverage(adapted: torch.nn.Module) -> Coverage:
    """Count the layers and parameters of `adapted` that have LoRA and 4-bit storage."""
    linear = {
        n: m
        for n, m in adapted.named_modules()
        if isinstance(m, torch.nn.Linear) and "lora_" not in n
    }
    with_lora = {n: m for n, m in linear.items() if n.endswith(".base_layer")}
    packed = {n: m for n, m in linear.items() if isinstance(m, bnb.nn.Linear4bit)}
    return Coverage(
        adapted=len(with_lora),
        adapted_experts=sum(".experts.single." in name for name in with_lora),
        four_bit=len(packed),
        base=sum(_elements(p) for n, p in adapted.named_parameters() if "lora_" not in n),
        base_four_bit=sum(m.in_features * m.out_features for m in packed.values()),
        base_adapted=sum(m.in_features * m.out_features for m in with_lora.values()),
        trainable=sum(p.numel() for p in adapted.parameters() if p.requires_grad),
    )


def _elements(parameter: torch.nn.Parameter) -> int:
    """Return the number of weights; a packed 4-bit parameter has two per byte."""
    packed = isinstance(parameter, bnb.nn.Params4bit) and parameter.bnb_quantized
    return parameter.numel() * (2 if packed else 1)


def published():
    """DeepSeek-OCR-2 as published: config.json of deepseek-community/DeepSeek-OCR-2."""
    text = {
        "vocab_size": 129280, "hidden_size": 1280, "intermediate_size": 6848,
        "num_hidden_layers": 12, "num_attention_heads": 10, "num_key_value_heads": 10,
        "mlp_layer_types": ["dense"] + ["sparse"] * 11, "n_routed_experts": 64,
        "n_shared_experts": 2, "num_experts_per_tok": 6, "moe_intermediate_size": 896,
        "n_group": 1, "topk_group": 1, "bos_token_id": 0, "eos_token_id": 1,
        "max_position_embeddings": 8192,
    }  # fmt: skip
    sam = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
           "downsample_channels": [512, 896]}  # fmt: skip
    encoder = {"hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14,
               "num_key_value_heads": 2, "intermediate_size": 4864, "vocab_size": 1}  # fmt: skip
    vision = {"sam_config": sam, "encoder_config": encoder}
    return DeepseekOcr2Config(text_config=text, vision_config=vision)


def test_lora_and_four_bits_cover_the_experts_of_the_published_model():
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(published())
    quantizer = AutoHfQuantizer.from_config(four_bit_config(torch.bfloat16), pre_quantized=False)
    quantizer.preprocess_model(model, dtype=torch.bfloat16, device_map={"": "cpu"})
    quantizer.postprocess_model(model)

    # What transformers' own quantisation leaves in 16 bits: the fused experts above all.
    by_transformers = [m for m in model.modules() if isinstance(m, bnb.nn.Linear4bit)]
    fused = sum(p.numel() for n, p in model.named_parameters() if ".experts." in n)
    assert len(by_transformers) == 301
    assert sum(m.in_features * m.out_features for m in by_transformers) == 624_541_696
    assert fused == 2_422_210_560

    assert split_experts(model, four_bit=True) == 11 * 64
    adapted = add_adapter(model, rank=16)
    found = count_coverage(adapted)
    assert found.base == 3_389_119_360
    assert found.adapted_experts == 11 * 64 * 3 == 2112
    # 12 × 4 of attention, 3 of the dense layer, 11 × 3 of shared experts; 24 × 7 of the encoder.
    assert found.adapted == 2112 + 12 * 4 + 3 + 11 * 3 + 24 * 7 == 2364
    assert found.four_bit == 301 + 2112
    assert found.base_four_bit == 624_541_696 + fused == 3_046_752_256
    assert found.base_adapted == 2_960_670_720
    assert found.trainable == 86_307_840

    linear = {n for n, m in adapted.named_modules() if isinstance(m, torch.nn.Linear)}
    plain = {n for n in linear if "lora_" not in n and not n.endswith(".base_layer")}
    # Not adapted: SAM's four layers in each of 12 blocks, the projector, the output layer. The
    # output layer and the embeddings are not in 4 bits either.
    assert sum(".sam_encoder." in name for name in plain) == 48
    assert {n.split(".")[-1] for n in plain if ".sam_encoder." not in n} == {
        "multi_modal_projector",
        "lm_head",
    }
    wide = {n for n in linear if "lora_" not in n
            and not isinstance(adapted.get_submodule(n), bnb.nn.Linear4bit)}  # fmt: skip
    assert wide == {"base_model.model.lm_head"}
