"""The ensemble of source project 3: file sizes, half precision and mean probabilities."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from ctc import LastStepHead, line_loss
from netchu.core.errors import NetchuError
from netchu.core.text import ALPHABET
from netchu.data.batches import LineBatch
from netchu.models.ctc_prefix import CTCPrefixScorer
from netchu.models.networks.effnet_seq2seq import EffnetSeq2Seq, EffnetSeq2SeqConfig, MemberConfig

SMALL = EffnetSeq2SeqConfig(
    members=(
        MemberConfig("tinynet_e", stride=8, hidden=16, embedding=8),
        MemberConfig("tinynet_d", stride=16, hidden=8, embedding=16),
    ),
    height=32, max_width=256, max_length=12, imagenet=False,
)  # fmt: skip


@pytest.fixture(scope="module")
def ensemble():
    torch.manual_seed(3)
    return EffnetSeq2Seq(SMALL, ALPHABET).eval()


JOINT = replace(
    SMALL, members=(SMALL.members[0], replace(SMALL.members[1], stride=8)), ctc_weight=0.5
)


def batch(texts=("Hà", "xã Yên")):
    images = torch.rand(len(texts), 1, 32, 96, generator=torch.Generator().manual_seed(1))
    ids = tuple(map(str, range(len(texts))))
    return LineBatch(
        images, torch.full((len(texts),), 96), tuple(texts), ids, ("line",) * len(texts)
    )


def test_both_full_size_members_take_less_than_50_mb_on_disk(tmp_path):
    config = EffnetSeq2SeqConfig(imagenet=False)
    recogniser = EffnetSeq2Seq(config, ALPHABET)
    recogniser.save(tmp_path)
    sizes = {path.name: path.stat().st_size for path in sorted(tmp_path.iterdir())}
    assert list(sizes) == [
        "0_tf_efficientnetv2_b1.safetensors", "1_tf_efficientnetv2_b2.safetensors",
    ]  # fmt: skip
    assert sum(sizes.values()) < 50e6
    weights = sum(p.numel() for p in recogniser.parameters())
    assert sum(sizes.values()) > 2 * weights  # the files do hold all of it


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_no_encoder_keeps_unused_blocks(stride):
    member = MemberConfig("tf_efficientnetv2_b1", stride, hidden=8, embedding=8)
    config = EffnetSeq2SeqConfig(members=(member,), height=64, imagenet=False)
    encoder = EffnetSeq2Seq(config, ALPHABET).members[0].encoder
    (features,) = encoder(torch.zeros(2, 1, 64, 96))
    assert features.shape == (2, encoder.feature_info.channels()[-1], 64 // stride, 96 // stride)
    features.sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())


def test_files_are_in_half_precision(ensemble, tmp_path):
    ensemble.save(tmp_path)
    kinds = {value.dtype for path in tmp_path.iterdir() for value in load_file(path).values()}
    assert kinds == {torch.float16, torch.int64}
    again = EffnetSeq2Seq.load(tmp_path, SMALL, ALPHABET)
    for name, value in again.state_dict().items():
        wanted = ensemble.state_dict()[name]
        assert value.dtype == wanted.dtype
        assert torch.equal(value, wanted.half().float() if wanted.is_floating_point() else wanted)


def test_the_ensembles_probabilities_are_the_mean_of_its_members(ensemble):
    lines = batch()
    ids = torch.full((2,), EffnetSeq2Seq.START)
    with torch.inference_mode():
        state = ensemble.start(lines.images_BCHW, lines.widths_B)
        for _ in range(3):
            alone = [
                member.advance(ids, *own)[0].softmax(-1)
                for member, own in zip(ensemble.members, state, strict=True)
            ]
            together, state = ensemble.step(ids, state)
            torch.testing.assert_close(together, (alone[0] + alone[1]) / 2)
            assert not torch.allclose(alone[0], alone[1])
            ids = together.argmax(-1)


def test_decoding_step_by_step_equals_teacher_forcing(ensemble):
    lines = batch()
    inputs = ensemble.targets(lines.texts)[:, :-1]
    with torch.inference_mode():
        whole = ensemble(lines.images_BCHW, lines.widths_B, inputs).exp()
        state = ensemble.start(lines.images_BCHW, lines.widths_B)
        for place in range(inputs.shape[1]):
            step, state = ensemble.step(inputs[:, place], state)
            torch.testing.assert_close(step, whole[:, place], rtol=1e-4, atol=1e-6)


def test_targets_have_start_end_and_padding(ensemble):
    ids = ensemble.targets(("ab", "c"))
    a, b, c = ensemble.codec.encode("abc")
    assert ids.tolist() == [[1, a, b, 2], [1, c, 2, 0]]


def test_reading_stops_at_max_length(ensemble):
    for reading in ensemble.transcribe(batch()):
        assert len(reading.text) <= SMALL.max_length


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (MemberConfig("tinynet_e", stride=4), "stride 4 is not one of 8, 16, 32"),
        (MemberConfig("no_such_backbone"), "no_such_backbone cannot be made"),
    ],
)
def test_an_impossible_member_is_an_error_of_one_line(member, said):
    with pytest.raises(NetchuError, match=said) as caught:
        EffnetSeq2Seq(EffnetSeq2SeqConfig(members=(member,), imagenet=False), ALPHABET)
    assert "\n" not in str(caught.value)


def test_columns_are_the_means_of_the_rows_of_the_context(ensemble):
    member = ensemble.members[0]  # stride 8: 4 rows in 32 pixels
    # Column by column, top to bottom.
    context = torch.tensor([[[100.0 * row + column] for column in range(12) for row in range(4)]])
    assert member.columns(context, 32)[0, :, 0].tolist() == [150.0 + c for c in range(12)]


def test_rows_can_be_averaged_before_the_recurrent_layer():
    member = EffnetSeq2Seq(replace(SMALL, average_rows=True), ALPHABET).eval().members[0]
    images = batch().images_BCHW
    with torch.inference_mode():
        sequence = member.narrow(member.encoder(images)[-1]).mean(2).transpose(1, 2)
        context, _, _ = member.begin(images)
        expected, _ = member.context_rnn(sequence)
    assert context.shape[1] == 12  # 96 pixels at stride 8
    torch.testing.assert_close(context, expected)
    assert torch.equal(member.columns(context, 32), context)


@pytest.mark.parametrize(("average_rows", "ctc_steps"), [(False, 1), (True, 1), (True, 2)])
def test_each_member_adds_the_loss_of_its_ctc_head(average_rows, ctc_steps):
    config = replace(SMALL, ctc_weight=0.5, ctc_steps=ctc_steps, average_rows=average_rows)
    torch.manual_seed(3)
    recogniser = EffnetSeq2Seq(config, ALPHABET).eval()
    lines = batch(("Hà", "xã"))
    narrow = replace(lines, widths_B=torch.tensor([96, 60]))
    with torch.no_grad():
        whole = recogniser.loss(narrow)
        expected = []
        for member in recogniser.members:
            steps = [-(-width // member.stride) for width in (96, 60)]
            context = member.begin(narrow.images_BCHW)[0]
            rows = 1 if average_rows else 32 // member.stride
            columns = context.reshape(2, -1, rows, context.shape[2]).mean(2)
            for row, text, count in zip(columns, narrow.texts, steps, strict=True):
                ids = recogniser.codec.encode(text)
                # The logits of all time steps of a column stand side by side in the head's output.
                logits = (row[:count] @ member.ctc_head.weight.T + member.ctc_head.bias).reshape(
                    ctc_steps * count, -1
                )
                expected.append(line_loss(logits, ids, EffnetSeq2Seq.PAD))
            member.ctc_head = None
        decoders = recogniser.loss(narrow)
    torch.testing.assert_close(whole, decoders + 0.5 * torch.stack(expected).mean())


@pytest.mark.parametrize("steps", [1, 3])
def test_the_ctc_head_learns_and_is_saved(tmp_path, steps):
    config = replace(SMALL, ctc_weight=0.5, ctc_steps=steps)
    recogniser = EffnetSeq2Seq(config, ALPHABET)
    recogniser.loss(batch()).backward()
    assert [n for n, p in recogniser.named_parameters() if p.grad is None] == []
    recogniser.save(tmp_path)
    again = EffnetSeq2Seq.load(tmp_path, config, ALPHABET)
    weight = recogniser.members[1].ctc_head.weight
    torch.testing.assert_close(again.members[1].ctc_head.weight, weight.half().float())


def test_no_weight_means_no_head(ensemble):
    assert [member.ctc_head for member in ensemble.members] == [None, None]


def test_the_ctc_heads_take_part_in_reading():
    recogniser = EffnetSeq2Seq(JOINT, ALPHABET).eval()
    letter = recogniser.codec.encode("ả")
    with torch.no_grad():
        for member in recogniser.members:
            member.ctc_head.weight.zero_()
            member.ctc_head.bias.zero_()
            member.ctc_head.bias[letter] = 30.0
    lines = batch()
    alone = {reading.text for reading in recogniser.transcribe(lines)}
    recogniser.config = replace(recogniser.config, ctc_reading_weight=5.0)
    joint = recogniser.transcribe(lines)
    assert "ả" not in alone
    assert [reading.text for reading in joint] == ["ả"] * len(lines.texts)


@pytest.mark.parametrize("steps", [1, 2])
def test_reading_uses_every_time_step_of_the_ctc_heads(steps):
    config = replace(JOINT, ctc_steps=steps, ctc_reading_weight=5.0)
    recogniser = EffnetSeq2Seq(config, ALPHABET).eval()
    for member in recogniser.members:
        member.ctc_head = LastStepHead(member.ctc_head, recogniser.codec.encode("ả"))
    lines = batch()
    assert [reading.text for reading in recogniser.transcribe(lines)] == ["ả"] * len(lines.texts)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_first_character_has_the_joint_probability_of_decoders_and_heads(steps):
    torch.manual_seed(5)
    config = replace(JOINT, ctc_reading_weight=0.7, ctc_steps=steps)
    recogniser = EffnetSeq2Seq(config, ALPHABET).eval()
    lines = replace(batch(), widths_B=torch.tensor([96] * len(batch().texts)))
    with torch.inference_mode():
        state = recogniser.start(lines.images_BCHW, lines.widths_B)
        starts = torch.full((len(lines.texts),), EffnetSeq2Seq.START)
        decoders, _ = recogniser.step(starts, state)
        heads = [
            member.ctc_head(member.columns(context, 32)).softmax(-1)
            for member, (context, _, _) in zip(recogniser.members, state, strict=True)
        ]
        mean = torch.stack(heads).mean(0)
        assert mean.shape[1] == steps * 12  # columns of 8 pixels
        all_steps = torch.full((len(mean),), mean.shape[1])
        scorer = CTCPrefixScorer(mean, all_steps, EffnetSeq2Seq.PAD, EffnetSeq2Seq.END, 0.7)
        gains = scorer.gains(scorer.empty())
    scores = decoders.log() + gains
    scores[:, [EffnetSeq2Seq.PAD, EffnetSeq2Seq.START]] = -torch.inf
    best, ids = scores.softmax(-1).max(-1)
    readings = recogniser.transcribe(lines)
    checked = 0
    for reading, probability, number in zip(readings, best.tolist(), ids.tolist(), strict=True):
        if reading.text:
            assert reading.text[0] == recogniser.codec.decode([number])
            assert reading.character_confidences[0] == pytest.approx(probability, rel=1e-4)
            checked += 1
    assert checked


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ctc_weight": 0.0}, "set ctc_weight"),
        ({"members": SMALL.members}, "of one stride"),
    ],
)
def test_heads_that_cannot_be_read_together_are_an_error(change, message):
    config = replace(JOINT, ctc_reading_weight=1.0)
    with pytest.raises(NetchuError, match=message):
        EffnetSeq2Seq(replace(config, **change), ALPHABET)
