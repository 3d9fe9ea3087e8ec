import json
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from transformers import VisionEncoderDecoderModel

from ctc import LastStepHead, line_loss
from netchu.core.codec import Codec
from netchu.core.errors import NetchuError
from netchu.core.files import hash_folder
from netchu.core.text import ALPHABET
from netchu.data.batches import LineBatch
from netchu.models import network_class
from netchu.models.hub import hub_note
from netchu.models.hub.char_tokenizer import SPECIALS, char_tokenizer
from netchu.models.hub.own_checkpoints import write_trocr
from netchu.models.networks.trocr import BOS_ID, EOS_ID, PAD_ID, TrOCR, TrOCRSettings

TEXTS = ("Thị xã", "đường Nguyễn", "quý hoà", "Ặ ợ 12/3")
SMALL = TrOCRSettings("small", image_height=32, image_width=128, beams=2, ctc_weight=0.5)
TINY = TrOCRSettings("tiny", image_height=64, image_width=64, beams=2)


def lines(texts=TEXTS, height=64):
    images = torch.rand(len(texts), 1, height, 64, generator=torch.Generator().manual_seed(1))
    widths = torch.full((len(texts),), 64)
    ids = tuple(map(str, range(len(texts))))
    return LineBatch(images, widths, tuple(texts), ids, ("line",) * len(texts))


def made(config=TINY):
    torch.manual_seed(3)
    recogniser = TrOCR(config, ALPHABET)
    recogniser.configure_for(TEXTS)
    return recogniser


def test_every_character_has_one_token_and_decodes_to_itself(tmp_path):
    tokenizer = char_tokenizer(ALPHABET)
    codec = Codec(ALPHABET, specials=len(SPECIALS))
    for letter in ALPHABET:
        ids = tokenizer(letter, add_special_tokens=False)["input_ids"]
        assert ids == codec.encode(letter)
        assert tokenizer.decode(ids) == letter
    assert len(tokenizer) == codec.size
    text = "  Hoà , (quý) .  Ợ's"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer("漢", add_special_tokens=False)["input_ids"] == [SPECIALS.index("<unk>")]


def test_it_is_found_by_name_and_notes_the_tiny_checkpoint():
    assert network_class("trocr") is TrOCR
    assert made().hub_note == hub_note("tiny") != hub_note("small") != ""
    assert hub_note("microsoft/trocr-base-handwritten") == ""


def test_all_configs_have_the_same_special_tokens():
    network = made().model
    for config in (network.config, network.decoder.config, network.generation_config):
        ids = (config.bos_token_id, config.pad_token_id, config.eos_token_id)
        assert ids == (BOS_ID, PAD_ID, EOS_ID)
        assert config.decoder_start_token_id == BOS_ID != EOS_ID
    size = len(SPECIALS) + len(ALPHABET)
    assert network.config.decoder.vocab_size == network.decoder.config.vocab_size == size
    assert network.decoder.get_output_embeddings().weight.shape[0] == size


def test_characters_start_with_distinct_embeddings():
    rows = made().model.decoder.get_input_embeddings().weight
    assert len(torch.unique(rows, dim=0)) == len(rows)


def test_labels_end_with_the_end_token_and_ignore_padding():
    recogniser = made()
    inputs_BL, labels_BL = recogniser.targets(("ạ", "bc"))
    ids = recogniser.codec.encode("ạbc")
    assert inputs_BL.tolist() == [[BOS_ID, ids[0], PAD_ID], [BOS_ID, ids[1], ids[2]]]
    assert labels_BL.tolist() == [[ids[0], EOS_ID, -100], [ids[1], ids[2], EOS_ID]]


def test_max_length_is_derived_from_the_texts_unless_given():
    assert made().max_length == 14
    assert made(replace(TINY, max_length=40)).max_length == 40
    assert made().rejection_reason("a" * 14, 64) == ""
    assert "15 characters for a max_length of 14" in made().rejection_reason("a" * 15, 64)


def test_it_memorises_a_batch_and_reads_the_same_after_save_and_load(tmp_path):
    recogniser, batch = made(), lines()
    optimiser = torch.optim.AdamW(recogniser.parameters(), lr=2e-3)
    first = recogniser.loss(batch).item()
    for _ in range(60):
        loss = recogniser.loss(batch)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert first > 3 > 0.5 > loss.item()
    readings = recogniser.eval().transcribe(batch)
    assert tuple(reading.text for reading in readings) == TEXTS
    for reading in readings:
        assert len(reading.character_confidences) == len(reading.text)
        assert 0 < reading.confidence <= min(reading.character_confidences) <= 1
    recogniser.save(tmp_path)
    assert "/" not in json.loads((tmp_path / "config.json").read_text()).get("_name_or_path", "")
    again = TrOCR.load(tmp_path, TINY, ALPHABET).eval()
    assert again.transcribe(batch) == readings
    assert again.max_length == recogniser.max_length


def test_every_trained_parameter_gets_a_gradient():
    recogniser = made()
    recogniser.loss(lines()).backward()
    assert [n for n, p in recogniser.named_parameters() if p.grad is None] == []


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    marks = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(len(marks))  # what was drawn before must not matter
        write_trocr(tmp_path / place, (64, 64), "tiny", seed)
        marks.append(hash_folder(tmp_path / place))
    assert marks[0] == marks[1] != marks[2]


def test_pixels_equal_those_of_the_checkpoints_processor():
    recogniser, batch = made(), lines()
    white_on_black = (1 - batch.images_BCHW).expand(-1, 3, -1, -1)
    theirs = recogniser.image_processor(
        list(white_on_black), do_rescale=False, do_resize=False, return_tensors="pt"
    )["pixel_values"]
    torch.testing.assert_close(recogniser._pixels(batch.images_BCHW), theirs)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (TrOCRSettings("nobody/no-such-checkpoint-here"), "nobody/no-such-checkpoint-here"),
        (TrOCRSettings("tiny", 64, 64, max_length=10_000), "lower it"),
    ],
)
def test_impossible_settings_are_errors_of_one_line(config, said, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(NetchuError, match=said) as caught:
        TrOCR(config, ALPHABET)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_size_or_alphabet_is_refused(tmp_path):
    write_trocr(tmp_path / "other", (64, 64), "tiny")
    with pytest.raises(NetchuError, match="image_height: 64 and image_width: 64"):
        TrOCR(TrOCRSettings(str(tmp_path / "other"), 96, 96), ALPHABET)
    made().save(tmp_path)
    with pytest.raises(NetchuError, match="another alphabet"):
        TrOCR.load(tmp_path, TINY, ALPHABET[:-1])


@pytest.mark.parametrize(
    ("size", "image_size"), [("small", (33, 256)), ("small", (32, 250)), ("tiny", (60, 64))]
)
def test_patches_fill_the_image(tmp_path, size, image_size):
    with pytest.raises(NetchuError, match="do not fill"):
        write_trocr(tmp_path, image_size, size)


def test_a_character_outside_the_alphabet_is_named():
    with pytest.raises(NetchuError, match="'漢'"):
        made().loss(lines(("漢",)))


def test_a_line_keeps_its_shape_in_an_image_that_is_no_square():
    how = made(SMALL).preprocessing
    assert (how.variant, how.height, how.max_width) == ("grey", 32, 128)
    assert made().preprocessing.variant == "square"


def test_a_narrow_line_has_the_positions_of_the_first_columns():
    recogniser = made(SMALL).eval()
    embeddings = recogniser.model.encoder.embeddings
    narrow = torch.rand(2, 1, 32, 92, generator=torch.Generator().manual_seed(1))
    wide = torch.cat([narrow, torch.zeros(2, 1, 32, 36)], 3)
    assert recogniser._pixels(narrow).shape == (2, 3, 32, 96)  # whole patches of 8 px
    cut, whole = (
        embeddings(recogniser._pixels(images), interpolate_pos_encoding=True)
        for images in (narrow, wide)
    )
    # A class token, then two rows of 12 and of 16 patches.
    torch.testing.assert_close(cut[:, 0], whole[:, 0])
    torch.testing.assert_close(cut[:, 1:13], whole[:, 1:13])
    torch.testing.assert_close(cut[:, 13:], whole[:, 17:29])
    torch.testing.assert_close(whole, embeddings(recogniser._pixels(wide)))


def test_a_narrow_line_is_read_from_its_own_columns():
    recogniser = made(SMALL).eval()
    texts = ("Hà", "xã")
    narrow = torch.rand(2, 1, 32, 64, generator=torch.Generator().manual_seed(1))
    batch = LineBatch(narrow, torch.tensor([64, 64]), texts, ("0", "1"), ("line",) * 2)
    seen = []
    recogniser.model.encoder.layernorm.register_forward_hook(
        lambda _module, _inputs, output: seen.append(output.shape[1])
    )
    recogniser.transcribe(batch)
    recogniser.loss(batch)
    assert seen == [17, 17]


def test_columns_are_the_means_of_the_patches_one_above_the_other():
    recogniser = made(SMALL)
    # Patches of 16 × 8 pixels: 2 rows of 16. Each is marked by its row and column.
    marks = torch.tensor([[100.0 * row + column] for row in range(2) for column in range(16)])
    hidden = torch.cat([torch.tensor([[-1.0]]), marks])[None]  # the class token comes first
    columns, steps = recogniser._columns(hidden.expand(3, -1, -1), torch.tensor([64, 65, 128]))
    assert columns[0, :, 0].tolist() == [50.0 + column for column in range(16)]
    assert steps.tolist() == [8, 9, 16]


def test_the_ctc_head_adds_its_loss_and_learns_and_is_saved(tmp_path):
    texts = ("Hà", "xã")
    batch = LineBatch(
        torch.rand(2, 1, 32, 64, generator=torch.Generator().manual_seed(1)),
        torch.tensor([64, 64]), texts, ("0", "1"), ("line",) * 2,
    )  # fmt: skip
    recogniser = made(SMALL).eval()  # no dropout
    with torch.no_grad():
        whole = recogniser.loss(batch)
        head, recogniser.ctc_head = recogniser.ctc_head, None
        attention = recogniser.loss(batch)
        recogniser.ctc_head = head
        pixels = recogniser._pixels(batch.images_BCHW)
        hidden = recogniser.model.encoder(pixels, interpolate_pos_encoding=True)[0]
        columns = hidden[:, 1:].reshape(2, 2, 8, -1).mean(1)
        likelihoods = [
            line_loss(head(row[None])[0], recogniser.codec.encode(text), PAD_ID)
            for row, text in zip(columns, texts, strict=True)
        ]
    torch.testing.assert_close(whole, attention + 0.5 * torch.stack(likelihoods).mean())
    recogniser.loss(batch).backward()
    assert [n for n, p in recogniser.named_parameters() if p.grad is None] == []
    recogniser.save(tmp_path)
    again = TrOCR.load(tmp_path, SMALL, ALPHABET)
    torch.testing.assert_close(again.ctc_head.weight, head.weight)


@pytest.mark.parametrize(("steps", "aligned"), [(1, False), (2, False), (3, True)])
def test_a_line_with_too_few_time_steps_is_left_to_the_decoder(steps, aligned):
    """Four columns, and eleven characters: three time steps a column are enough."""
    recogniser = made(replace(SMALL, ctc_steps=steps)).eval()
    batch = LineBatch(
        torch.zeros(1, 1, 32, 32), torch.tensor([32]), ("Nguyễn Trãi",), ("0",), ("line",)
    )
    with torch.no_grad():
        whole = recogniser.loss(batch)
        recogniser.ctc_head = None
        decoder = recogniser.loss(batch)
    assert torch.isfinite(whole)
    assert (whole > decoder) == aligned


@pytest.mark.parametrize("steps", [1, 2])
def test_the_ctc_head_takes_part_in_reading(steps):
    small = replace(SMALL, ctc_steps=steps)
    recogniser = made(small).eval()
    with torch.no_grad():
        recogniser.ctc_head.weight.zero_()
        recogniser.ctc_head.bias.zero_()
        letter = recogniser.codec.encode("ả")
        recogniser.ctc_head.bias.view(steps, -1)[:, letter] = 50.0
    batch = lines(height=32)
    alone = {reading.text for reading in recogniser.transcribe(batch)}
    assert "ả" not in alone
    recogniser.config = replace(small, ctc_reading_weight=5.0)
    assert [reading.text for reading in recogniser.transcribe(batch)] == ["ả"] * len(TEXTS)


@pytest.mark.parametrize("steps", [1, 2])
def test_reading_uses_every_time_step_of_the_ctc_head(steps):
    recogniser = made(replace(SMALL, ctc_steps=steps, ctc_reading_weight=5.0)).eval()
    letter = recogniser.codec.encode("ả")
    recogniser.ctc_head = LastStepHead(recogniser.ctc_head, letter)
    readings = recogniser.transcribe(lines(height=32))
    assert [reading.text for reading in readings] == ["ả"] * len(TEXTS)


@pytest.mark.parametrize("height", [32, 48])
def test_small_checkpoints_have_two_rows_of_patches(height):
    recogniser = made(replace(SMALL, image_height=height)).eval()
    assert recogniser.model.encoder.config.patch_size == [height // 2, 8]
    assert len(recogniser.transcribe(lines(height=height))) == len(TEXTS)


def test_own_checkpoints_know_which_positions_are_near(tmp_path):
    write_trocr(tmp_path, (32, 256), "small")
    model = VisionEncoderDecoderModel.from_pretrained(tmp_path)
    grid = model.encoder.embeddings.position_embeddings[0, 1:].unflatten(0, (2, 32))
    positions = model.decoder.model.decoder.embed_positions.weight
    for table in (grid[0], grid[1], positions):
        near = F.cosine_similarity(table[:24], table[1:25])
        assert (near > F.cosine_similarity(table[:24], table[8:32])).all()
    assert (F.cosine_similarity(grid[0], grid[1]) < 0.99).all()
    torch.testing.assert_close(grid[0, :, :120], grid[1, :, :120])
