"""effnet_seq2seq: two EfficientNetV2 encoders with VietOCR's attention decoder (source project 3).

The two networks are trained side by side and read as an ensemble: their probabilities are averaged
at every step. CTC heads on their columns may take part in training and reading. They are saved in
half precision, one file each, under 50 MB together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models.efficientnet import EfficientNetFeatures
from torch import Tensor, nn
from torch.nn import functional as F

from netchu.core.errors import NetchuError
from netchu.core.params import AtLeastOne, Strict
from netchu.data.batches import LineBatch
from netchu.imaging.preparation import Preprocessing
from netchu.models.attention import AttentionRecogniser
from netchu.models.base import Recogniser
from netchu.models.ctc_loss import CTCHead
from netchu.models.ctc_prefix import CTCPrefixScorer


@dataclass(frozen=True)
class MemberConfig(Strict):
    """Config of one member of the ensemble."""

    backbone: str
    """A timm model that gives features."""

    stride: int = 32
    """Image pixels per feature column: 8, 16 or 32."""

    hidden: int = 256
    """Units of the decoder's GRU, and of the encoder's in each direction."""

    embedding: int = 256
    """Size of a character's embedding."""


def _default_members() -> tuple[MemberConfig, ...]:
    return (
        MemberConfig("tf_efficientnetv2_b1", hidden=384),
        MemberConfig("tf_efficientnetv2_b2", hidden=256),
    )


@dataclass(frozen=True)
class EffnetSeq2SeqConfig(Strict):
    """Config; the defaults are those of the source project."""

    members: tuple[MemberConfig, ...] = field(default_factory=_default_members)
    """Members of the ensemble."""

    height: int = 128
    """Height of prepared lines in pixels."""

    max_width: int = 2048
    """Maximum width of prepared lines in pixels; wider ones are shrunk."""

    max_length: int = 128
    """Maximum number of characters of a line."""

    imagenet: bool = True
    """Whether the encoders start from ImageNet weights."""

    average_rows: bool = False
    """Whether the recurrent layer gets the mean of a column's rows. If false, it gets every row of
    every column, as in VietOCR, and the sequence is as many times longer as there are rows."""

    smoothing: float = 0.1
    """Label smoothing."""

    dropout: float = 0.1
    """Dropout in encoder and decoder."""

    ctc_weight: float = 0.0
    """Weight of the loss of a CTC head on the encoder's columns, beside 1 for the decoder's; 0 adds
    no head. Networks without pretrained weights need it."""

    ctc_steps: AtLeastOne = 1
    """Time steps of the CTC heads for each column, at least as many as the characters that the
    narrowest writing has in a column."""

    ctc_reading_weight: float = 0.0
    """Weight of the CTC heads in reading, beside 1 for the decoders; 0 reads by these alone."""


class Member(nn.Module):
    """Encoder, bidirectional GRU over its columns, and a GRU decoder with additive attention.

    The decoder is VietOCR's (pbcquoc/vietocr, `seqmodel/seq2seq.py`), after Bahdanau et al. 2015.
    """

    def __init__(self, config: MemberConfig, ensemble: EffnetSeq2SeqConfig, classes: int) -> None:
        super().__init__()
        self.stride = config.stride
        self.average_rows = ensemble.average_rows
        self.encoder = _encoder(config, ensemble.imagenet)
        channels = self.encoder.feature_info.channels()[-1]
        hidden = config.hidden
        self.narrow = nn.Conv2d(channels, hidden, 1)
        self.context_rnn = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.first_state = nn.Linear(2 * hidden, hidden)
        self.query = nn.Linear(hidden, hidden)
        self.key = nn.Linear(2 * hidden, hidden, bias=False)
        self.energy = nn.Linear(hidden, 1, bias=False)
        self.embedding = nn.Embedding(classes, config.embedding)
        self.decoder = nn.GRUCell(2 * hidden + config.embedding, hidden)
        self.head = nn.Linear(3 * hidden + config.embedding, classes)
        self.ctc_head = (
            CTCHead(2 * hidden, classes, AttentionRecogniser.PAD, ensemble.ctc_steps)
            if ensemble.ctc_weight
            else None
        )
        self.dropout = nn.Dropout(ensemble.dropout)

    def begin(self, images_BCHW: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return context (B, S, 2·hidden), its attention keys, and the decoder's first state."""
        images_BCHW = images_BCHW.contiguous(memory_format=torch.channels_last)
        features_BCHW = self.narrow(self.encoder(images_BCHW)[-1])
        if self.average_rows:
            features_BCHW = features_BCHW.mean(2, keepdim=True)
        # Column by column, top to bottom, the order of VietOCR's features.
        sequence_BSC = features_BCHW.transpose(2, 3).flatten(2).transpose(1, 2)
        context_BSC, _ = self.context_rnn(self.dropout(sequence_BSC))
        return context_BSC, self.key(context_BSC), torch.tanh(self.first_state(context_BSC.mean(1)))

    def columns(self, context_BSC: Tensor, height: int) -> Tensor:
        """Return the mean (B, T, C) of each column of the context; images are `height` px high."""
        batch, places, channels = context_BSC.shape
        rows = 1 if self.average_rows else -(-height // self.stride)
        return context_BSC.reshape(batch, places // rows, rows, channels).mean(2)

    def advance(
        self, ids_B: Tensor, context_BSC: Tensor, keys_BSC: Tensor, state_BC: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return logits (B, V) of the next character, and the next state."""
        energy_BS = self.energy(torch.tanh(keys_BSC + self.query(state_BC)[:, None])).squeeze(-1)
        seen_BC = torch.einsum("bs,bsc->bc", energy_BS.softmax(-1), context_BSC)
        letter_BC = self.dropout(self.embedding(ids_B))
        state_BC = self.decoder(torch.cat([letter_BC, seen_BC], -1), state_BC)
        return self.head(self.dropout(torch.cat([state_BC, seen_BC, letter_BC], -1))), state_BC


class EffnetSeq2Seq(AttentionRecogniser):
    """The ensemble of `Member`s."""

    network: ClassVar[str] = "effnet_seq2seq"
    config_class: ClassVar[type[EffnetSeq2SeqConfig]] = EffnetSeq2SeqConfig
    config: EffnetSeq2SeqConfig

    def __init__(self, config: EffnetSeq2SeqConfig, alphabet: str) -> None:
        super().__init__(config, alphabet)
        _check_heads(config)
        self.members = nn.ModuleList(
            Member(member, config, self.codec.size) for member in config.members
        )

    @property
    def preprocessing(self) -> Preprocessing:
        return Preprocessing("grey", self.config.height, self.config.max_width)

    @property
    def max_length(self) -> int:
        return self.config.max_length

    def _members(self) -> list[Member]:
        return [cast(Member, member) for member in self.members]

    def member_logits(
        self, member: Member, state: tuple[Tensor, Tensor, Tensor], inputs_BL: Tensor
    ) -> Tensor:
        """Return logits (B, L, V) of one member under teacher forcing, from its `begin`."""
        context, keys, hidden = state
        steps = []
        for ids_B in inputs_BL.unbind(1):
            logits_BV, hidden = member.advance(ids_B, context, keys, hidden)
            steps.append(logits_BV)
        return torch.stack(steps, 1)

    def forward(self, images_BCHW: Tensor, widths_B: Tensor, inputs_BL: Tensor) -> Tensor:
        """Return logarithms (B, L, V) of the members' mean probabilities."""
        mean_BLV = torch.stack(
            [
                self.member_logits(member, member.begin(images_BCHW), inputs_BL).softmax(-1)
                for member in self._members()
            ]
        ).mean(0)
        return mean_BLV.clamp_min(1e-9).log()

    def loss(self, batch: LineBatch) -> Tensor:
        """Return the mean of the members' losses; the ensemble exists only when reading."""
        return torch.stack([self._member_loss(m, batch) for m in self._members()]).mean()

    def _member_loss(self, member: Member, batch: LineBatch) -> Tensor:
        ids_BL = self.targets(batch.texts)
        state = member.begin(batch.images_BCHW)
        loss = F.cross_entropy(
            self.member_logits(member, state, ids_BL[:, :-1]).flatten(0, 1).float(),
            ids_BL[:, 1:].flatten(),
            ignore_index=self.PAD,
            label_smoothing=self.config.smoothing if self.training else 0.0,
        )
        if member.ctc_head is None:
            return loss
        columns_BTC, columns_B = _columns(member, state, batch)
        targets = [self.codec.encode(text) for text in batch.texts]
        loss += self.config.ctc_weight * member.ctc_head.loss(columns_BTC, columns_B, targets)
        return loss

    def ctc_scorer(self, batch: LineBatch, state: Any) -> CTCPrefixScorer | None:
        """Return the mean of the members' CTC heads as one head."""
        weight = self.config.ctc_reading_weight
        if weight == 0:
            return None
        heads = []
        for member, member_state in zip(self._members(), state, strict=True):
            head = cast(CTCHead, member.ctc_head)
            probabilities_BTV, steps_B = head.probabilities(*_columns(member, member_state, batch))
            heads.append(probabilities_BTV)
        mean_BTV = torch.stack(heads).mean(0)
        return CTCPrefixScorer(mean_BTV, steps_B, self.PAD, self.END, weight)

    def start(self, images_BCHW: Tensor, widths_B: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        return [member.begin(images_BCHW) for member in self._members()]

    def step(self, ids_B: Tensor, state: Any) -> tuple[Tensor, Any]:
        probabilities, states = [], []
        for member, (context, keys, hidden) in zip(self._members(), state, strict=True):
            logits_BV, hidden = member.advance(ids_B, context, keys, hidden)
            probabilities.append(logits_BV.float().softmax(-1))
            states.append((context, keys, hidden))
        return torch.stack(probabilities).mean(0), states

    def save(self, folder: Path) -> None:
        """Write one half-precision file per member: `<number>_<backbone>.safetensors`."""
        for number, (config, member) in enumerate(
            zip(self.config.members, self._members(), strict=True)
        ):
            weights = {
                name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
                for name, value in member.state_dict().items()
            }
            save_file(weights, folder / f"{number}_{config.backbone}.safetensors")

    @classmethod
    def load(cls, folder: Path, config: EffnetSeq2SeqConfig, alphabet: str) -> Recogniser:
        recogniser = cls(cls.without_pretrained(config), alphabet)
        for number, (member_config, member) in enumerate(
            zip(config.members, recogniser._members(), strict=True)
        ):
            member.load_state_dict(
                load_file(folder / f"{number}_{member_config.backbone}.safetensors")
            )
        recogniser.config = config
        return recogniser

    @classmethod
    def without_pretrained(cls, config: EffnetSeq2SeqConfig) -> EffnetSeq2SeqConfig:
        return replace(config, imagenet=False)


def _check_heads(config: EffnetSeq2SeqConfig) -> None:
    if config.ctc_reading_weight == 0:
        return
    if config.ctc_weight == 0:
        raise NetchuError("effnet_seq2seq: ctc_reading_weight needs heads; set ctc_weight")
    if len({member.stride for member in config.members}) > 1:
        raise NetchuError("effnet_seq2seq: ctc_reading_weight needs members of one stride")


def _columns(member: Member, state: Sequence[Tensor], batch: LineBatch) -> tuple[Tensor, Tensor]:
    """Return a member's columns (B, T, C) from its `begin`, and how many of them are a line's."""
    columns_BTC = member.columns(state[0], batch.images_BCHW.shape[2])
    columns_B = (batch.widths_B / member.stride).ceil().long().clamp(max=columns_BTC.shape[1])
    return columns_BTC, columns_B


def _encoder(config: MemberConfig, imagenet: bool) -> Any:
    depth = {8: 2, 16: 3, 32: 4}
    if config.stride not in depth:
        raise NetchuError(f"effnet_seq2seq: stride {config.stride} is not one of 8, 16, 32")
    try:
        encoder = timm.create_model(
            config.backbone, pretrained=imagenet, in_chans=1, features_only=True,
            out_indices=(depth[config.stride],),
        )  # fmt: skip
    except (OSError, RuntimeError) as error:
        raise NetchuError(
            f"effnet_seq2seq: {config.backbone} cannot be made ({type(error).__name__}: {error}); "
            "connect to the model hub, set imagenet: false, or name a timm backbone"
        ) from None
    if isinstance(encoder, EfficientNetFeatures):
        # timm keeps and runs all later blocks too: 4.8 M of b1's 6.6 M parameters at stride 16.
        encoder.blocks = encoder.blocks[: encoder.feature_info.get_dicts()[-1]["stage"]]
    return encoder
