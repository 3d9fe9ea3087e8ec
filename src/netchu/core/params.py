"""params.yaml as typed values, with the meaning and the default of every key.

A profile of `conf/` is composed into params.yaml; the stages read nothing else. An unknown key is
an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from netchu.core.errors import NetchuError
from netchu.core.fingerprints import PACKAGE
from netchu.core.paths import DATA, MODELS, REPORTS

T = TypeVar("T")
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Level = Literal["word", "line", "paragraph"]

NETWORKS = PACKAGE / "models" / "networks"
"""Folder of the networks, one file for each; see `netchu.models`."""


class Strict:
    """Base of the dataclasses of parameters: unknown keys, NaN and infinity are errors."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class ComputeParams(Strict):
    """CPU settings of every stage, which make results reproducible."""

    threads: AtLeastOne = 2
    """CPU threads of a stage, 1 or more. Another number gives other roundings, so other weights."""

    isa: Literal["AVX2", "native"] = "AVX2"
    """Widest instruction set. `AVX2` gives the same results on every x86-64 machine since 2013;
    `native` is faster on newer machines and gives other roundings there."""

    workers: Count | Literal["auto"] = "auto"
    """Processes that load training lines; 0 loads them in the training process. `auto` takes the
    cores that the training leaves free. Results do not depend on it."""


@dataclass(frozen=True)
class TrainerParams(Strict):
    """Arguments of `lightning.Trainer`, passed on unchanged."""

    accelerator: str = "cpu"
    """Hardware: `cpu`, `gpu` or `auto`."""

    strategy: str = "auto"
    """Distribution over processes: `auto`, or `ddp` for several devices."""

    devices: AtLeastOne = 1
    """Devices of each node, 1 or more."""

    num_nodes: AtLeastOne = 1
    """Machines that train together, 1 or more."""

    precision: str = "32-true"
    """Precision of the arithmetic: `32-true`, or `bf16-mixed`, which is faster where the hardware
    supports it."""

    accumulate_grad_batches: AtLeastOne = 1
    """Batches whose gradients are added up before a step of the optimiser, 1 or more."""


@dataclass(frozen=True)
class SyntheticParams(Strict):
    """One synthetic dataset."""

    count: AtLeastOne
    """Number of lines, 1 or more. Lines that cannot be written are skipped."""

    renderer: Literal["font", "ink", "copy"] = "font"
    """What the lines are made of: `font` files, `ink` (pen strokes of VNOnDB's training writers) or
    `copy` (distorted copies of training lines)."""

    text: Literal["", "syllable", "address", "verse", "prose", "form", "foreign"] = ""
    """What is written: random syllables, addresses, verses of Truyện Kiều, lines of prose, fields
    of forms (names, schools, dates, numbers), or lines with words that are no Vietnamese. Empty for
    `copy`, required otherwise."""

    words: tuple[AtLeastOne, AtLeastOne] = (1, 3)
    """Fewest and most words of a line, 1 or more."""

    fonts: dict[str, list[str]] = field(default_factory=dict)
    """Font families by split, for `font`. Each family counts as one writer, so it belongs to one
    split only."""

    datasets: tuple[str, ...] = ()
    """Datasets whose training lines are used: their strokes for `ink`, their images for `copy`."""

    papers: tuple[str, ...] = ()
    """Datasets whose training photos lend their paper as background; without them it is drawn."""

    corpora: tuple[str, ...] = ()
    """Fetched folders that the text comes from: `vietnam_dataset` for addresses, with `vi_forms` if
    half of them shall have the wards and provinces since July 2025 (without a corpus names are made
    up); `truyen_kieu` for verses; `vi_news`, `vi_wikipedia` or both for prose and foreign words;
    `vi_forms` for forms. Sentences that share four words in a row with a validation or test label
    of the profile are left out."""

    height: Annotated[int, Field(ge=16)] = 64
    """Height of the images in pixels, 16 or more."""

    distortion: Share = 0.5
    """How strongly shape and photo are distorted, from 0 (clean) to 1 (a bad phone photo)."""

    binarised: Share = 0.0
    """Share of the copies, from 0 to 1, that are black and white, as some scanners and fax machines
    make them, for `copy`."""

    shares: dict[str, Share] = field(
        default_factory=lambda: {"train": 0.9, "val": 0.05, "test": 0.05}
    )
    """Share of the lines by split, for `font`; they add up to 1. `ink` and `copy` make training
    lines only."""


@dataclass(frozen=True)
class SynthesisParams(Strict):
    """Where lines are generated. The lines do not depend on it."""

    executor: Literal["local", "ray"] = "local"
    """Processes of this machine, or a Ray cluster (extra `cluster`)."""

    workers: AtLeastOne = 2
    """Processes that generate lines, 1 or more."""

    address: str = ""
    """`host:port` of the Ray cluster. Empty takes a cluster that runs on this machine, or starts
    one."""


@dataclass(frozen=True)
class DatasetParams(Strict):
    """One line table: its source and its split into train, val and test."""

    source: Literal["synthetic", "kalapa", "cinnamon", "vnondb", "uit_hwdb", "csv", "alto", "page"]
    """Parser that reads the input."""

    input: str
    """Folder that is read: a fetched source or a generated table."""

    levels: tuple[Level, ...] = ("line",)
    """Levels that are kept: `word`, `line` and `paragraph`, where the source has them."""

    split: Literal["random", "published"] = "random"
    """How lines are assigned to train, val and test: `random`, drawn with the seed by the shares
    below, or `published`, from the lists of `data/published_splits/`, whatever the seed. Lines that
    are not listed are left out."""

    val_share: Share = 0.1
    """Share of the writers that are held out for validation (of the texts, where no writer is
    known). Above 0 at least one writer is held out."""

    test_share: Share = 0.15
    """Share of the writers or texts that are held out for testing; 0 for a source that names its
    own test lines."""

    limit: Count = 0
    """Most lines of each split and level, drawn with the seed; 0 keeps all."""

    def __post_init__(self) -> None:
        if self.val_share + self.test_share >= 1:
            raise ValueError(
                f"val_share {self.val_share} and test_share {self.test_share} leave no training "
                "lines; lower one of them"
            )


@dataclass(frozen=True)
class PhaseParams(Strict):
    """One training run of a stage, with its own data and optimiser.

    A phase draws epochs × steps_per_epoch batches, whatever the number of lines. After every epoch
    it validates and writes a checkpoint; the weights of the best epoch are kept, see `monitor`.
    """

    datasets: tuple[str, ...]
    """Datasets whose lines are used, each named once."""

    epochs: AtLeastOne
    """Number of epochs, 1 or more."""

    steps_per_epoch: AtLeastOne
    """Batches of an epoch, 1 or more."""

    batch_size: AtLeastOne = 16
    """Lines of a batch, 1 or more."""

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate, above 0; with `onecycle` its maximum."""

    optimizer: Literal["adamw", "adam", "adamw8bit", "muon"] = "adamw"
    """Optimiser. `adamw8bit` is that of bitsandbytes, for networks that fill the GPU's memory.
    `muon` makes steps of equal size in all directions of the weight matrix of a linear layer, from
    which a transformer of random weights learns sooner; recurrent layers, kernels and all other
    parameters get the steps of NAdamW."""

    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Weight decay of AdamW. Biases and normalisation layers have none, nor has `adam`."""

    schedule: Literal["constant", "cosine", "onecycle", "plateau"] = "onecycle"
    """Learning rate schedule. `plateau` divides the rate by 5 after 5 epochs without a better
    epoch."""

    warmup: Share = 0.1
    """Share of the steps in which the learning rate rises, from 0 to 1, for `onecycle`."""

    clip: Annotated[float, Field(gt=0)] = 5.0
    """Maximum norm of the gradient, above 0; larger ones are scaled down."""

    augmentation_strength: tuple[Share, Share] = (0.5, 0.5)
    """Augmentation strength in the first and in the last epoch, from 0 (none) to 1; linear in
    between."""

    levels: tuple[Level, ...] = ("word", "line", "paragraph")
    """Levels of the lines that are used."""

    concat_prob: Share = 0.0
    """Share of the words, from 0 to 1, that are also shown joined with one or two other words of
    the same writer."""

    freeze: str = ""
    """Part of the network that is not trained: the name of a submodule, such as `backbone`. Empty
    for none."""

    patience: Count = 0
    """Epochs without a better epoch after which the phase stops early; 0 never stops."""

    monitor: Literal["val_cer", "val_loss"] = "val_cer"
    """What makes an epoch better than those before: a lower CER or loss on the validation lines."""

    height: Count = 0
    """Height of the lines in pixels, for networks that read any height; 0 is the network's own."""

    ema_decay: Share = 0.0
    """Decay of the exponential moving average of the weights, such as 0.999; the average is then
    validated and kept. 0 keeps the weights themselves."""

    folds: AtLeastOne = 1
    """K of K-fold training, of which the best fold is kept; 1 trains once on the train split."""

    val_lines: AtLeastOne = 256
    """Most validation lines that are read after each epoch."""

    dataset_weights: dict[str, float] = field(default_factory=dict)
    """How often lines of a dataset are drawn beside those of the others: 2 is twice as often, 0.5
    half as often; 1 for datasets that are not named here."""

    def __post_init__(self) -> None:
        if twice := sorted({name for name in self.datasets if self.datasets.count(name) > 1}):
            raise ValueError(f"{twice[0]} is named twice; give it a weight in dataset_weights")
        if unknown := sorted(set(self.dataset_weights) - set(self.datasets)):
            raise ValueError(f"dataset_weights names {unknown[0]}, which is not in datasets")
        if any(weight <= 0 for weight in self.dataset_weights.values()):
            raise ValueError("dataset_weights are greater than 0; leave a dataset out instead")


@dataclass(frozen=True)
class SystemParams(Strict):
    """One recogniser: a row of the table."""

    model: dict[str, Any]
    """Parameters of the network; see the config dataclass in its file."""

    pretrain: dict[str, PhaseParams]
    """Phases of the stage pretrain by name, in order; may be empty. Names sort in this order
    (`phase1`, `phase2`), because DVC takes mappings that differ in their order only for equal."""

    finetune: dict[str, PhaseParams]
    """Phases of the stage finetune, likewise."""

    network: str = ""
    """Name of the network, a file in `models/networks/`. Empty for the system's own name."""

    start: str = ""
    """System whose pretrained weights are fine-tuned. Empty for this system."""

    note: str = ""
    """Remark on the row in the report, such as that the network needs more training."""

    def __post_init__(self) -> None:
        """Check that the names of the phases sort in their order."""
        for phases in (self.pretrain, self.finetune):
            for name, following in pairwise(phases):
                if not name < following:
                    raise ValueError(
                        f"phase {following} sorts before {name}; phases run in the order of their "
                        "names, so rename one or change their order"
                    )


@dataclass(frozen=True)
class EvaluateParams(Strict):
    """Which lines every system and baseline reads, and how they are scored."""

    datasets: tuple[str, ...]
    """Datasets whose lines are read."""

    split: Literal["val", "test"] = "test"
    """Split that is read: `val` as long as something is still to be chosen by the results."""

    limit: Count = 0
    """Most lines of each dataset and level, drawn with the seed; 0 reads all."""

    batch_size: AtLeastOne = 16
    """Lines that are read at a time, 1 or more. Readings do not depend on it."""

    latency_lines: AtLeastOne = 30
    """Lines that are timed one by one on one core."""

    resamples: AtLeastOne = 1000
    """Bootstrap resamples behind each interval."""


@dataclass(frozen=True)
class ExportParams(Strict):
    """One system that is exported to be read without torch."""

    network: str
    """Network of the system, repeated here because dvc.yaml cannot look it up."""


@dataclass(frozen=True)
class ReportParams(Strict):
    """What the report shows."""

    gallery: tuple[str, ...] = ()
    """Datasets whose lines the committed report may show; never research-only data."""

    gallery_lines: Count = 8
    """Lines of each dataset in the gallery."""


@dataclass(frozen=True)
class Params(Strict):
    """All of params.yaml."""

    profile: str
    """Name of the profile, which is also the name of its folders in data, models and reports."""

    seed: Count
    """Random seed of every stage."""

    compute: ComputeParams
    """CPU settings."""

    trainer: TrainerParams
    """Arguments of `lightning.Trainer`."""

    sources: dict[str, dict[str, Any]]
    """Sources to fetch, each with the keys of its module in `data/fetch/`."""

    synthetic: dict[str, SyntheticParams]
    """Synthetic datasets by name."""

    datasets: dict[str, DatasetParams]
    """Datasets by name."""

    systems: dict[str, SystemParams]
    """Systems by name, in the order of their colours in the report."""

    evaluate: EvaluateParams
    """Evaluation of systems and baselines."""

    exports: dict[str, ExportParams] = field(default_factory=dict)
    """Systems that are exported; their networks must be trained with CTC."""

    baselines: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Other people's recognisers beside the systems in the table, by name and without keys; see
    `evaluation/baselines/`."""

    report: ReportParams = ReportParams()
    """The report."""

    synthesis: SynthesisParams = SynthesisParams()
    """Where lines are generated."""

    def __post_init__(self) -> None:
        self._check_profile()
        self._check_systems()
        for name, wanted in self.synthetic.items():
            for key, names in (("datasets", wanted.datasets), ("papers", wanted.papers)):
                _check_known(names, self.datasets, f"synthetic.{name}.{key}", "dataset")
        _check_known(self.evaluate.datasets, self.datasets, "evaluate.datasets", "dataset")
        _check_known(self.report.gallery, self.datasets, "report.gallery", "dataset")
        _check_known(self.exports, self.systems, "exports", "system")
        for name, export in self.exports.items():
            if export.network != self.network(name):
                raise ValueError(
                    f"exports.{name}.network is {export.network}, but the system's network is "
                    f"{self.network(name)}"
                )

    def _check_profile(self) -> None:
        if not self.profile or set(self.profile) & set("/\\") or self.profile.startswith("."):
            raise ValueError(
                f"profile: {self.profile!r} cannot be the name of a folder; write letters, digits, "
                "'-' and '_'"
            )
        for name, dataset in self.datasets.items():
            first, profile = (*Path(dataset.input).parts, "", "")[:2]
            if first == DATA.name and profile != self.profile:
                raise ValueError(
                    f"datasets.{name} reads {dataset.input}, which belongs to another profile than "
                    f"{self.profile}; write all parameters with 'netchu profile {self.profile}'"
                )

    def _check_systems(self) -> None:
        networks = [path.stem for path in sorted(NETWORKS.glob("[!_]*.py"))]
        for name, system in self.systems.items():
            key = f"systems.{name}"
            if system.start:
                _check_known([system.start], self.systems, f"{key}.start", "system")
            if system.network:
                _check_known([system.network], networks, f"{key}.network", "network")
            for stage in ("pretrain", "finetune"):
                for number, phase in getattr(system, stage).items():
                    place = f"{key}.{stage}.{number}.datasets"
                    _check_known(phase.datasets, self.datasets, place, "dataset")

    def system(self, name: str) -> SystemParams:
        """Return the parameters of a system.

        Raises:
            NetchuError: params.yaml has no system of this name.
        """
        return _pick(self.systems, name, "system")

    def network(self, system: str) -> str:
        """Return the name of a system's network."""
        return self.system(system).network or system

    def dataset(self, name: str) -> DatasetParams:
        """Return the parameters of a dataset.

        Raises:
            NetchuError: params.yaml has no dataset of this name.
        """
        return _pick(self.datasets, name, "dataset")

    def synthetic_dataset(self, name: str) -> SyntheticParams:
        """Return the parameters of one synthetic dataset.

        Raises:
            NetchuError: params.yaml has no synthetic dataset of this name.
        """
        return _pick(self.synthetic, name, "synthetic dataset")

    @property
    def handwriting(self) -> list[str]:
        """Names of the datasets that are not generated."""
        return [name for name, wanted in self.datasets.items() if wanted.source != "synthetic"]

    def must_avoid_held_out(self, wanted: SyntheticParams) -> bool:
        """Return whether the texts of a synthetic dataset are prose, which writers copy too."""
        return wanted.text in ("prose", "foreign") and bool(wanted.corpora)

    def read_by(self, wanted: SyntheticParams) -> list[str]:
        """Return the datasets whose source a synthetic dataset reads, for lines or labels."""
        avoided = self.handwriting if self.must_avoid_held_out(wanted) else ()
        return sorted({*wanted.datasets, *wanted.papers, *avoided})

    def is_fully_synthetic(self, dataset: str) -> bool:
        """Return whether a dataset is generated without strokes, lines or papers of real data."""
        wanted = self.dataset(dataset)
        made = self.synthetic.get(Path(wanted.input).name)
        return wanted.source == "synthetic" and not (made and (made.datasets or made.papers))

    @property
    def raw(self) -> Path:
        """Folder of this profile's fetched sources."""
        return DATA / self.profile / "raw"

    @property
    def synthetic_lines(self) -> Path:
        """Folder of this profile's synthetic line tables."""
        return DATA / self.profile / "synthetic"

    @property
    def lines(self) -> Path:
        """Folder of this profile's preprocessed line tables."""
        return DATA / self.profile / "lines"

    @property
    def models(self) -> Path:
        """Folder of this profile's models and their evaluations."""
        return MODELS / self.profile

    @property
    def report_folder(self) -> Path:
        """Folder of this profile's report."""
        return REPORTS / self.profile

    def model_folder(self, system: str, stage: str) -> Path:
        """Folder of a trained model; `stage` is pretrain or finetune."""
        return self.models / system / stage


def _check_known(names: Collection[str], known: Collection[str], key: str, what: str) -> None:
    """Raise `ValueError` if one of the names that a key holds is not known."""
    for name in names:
        if name not in known:
            raise ValueError(f"{key}: unknown {what} {name!r}{_hint(name, sorted(known))}")


def _hint(name: str, known: Collection[str]) -> str:
    """Return which of the known names was meant, or all of them if none is similar."""
    if close := difflib.get_close_matches(name, known, n=1):
        return f"; did you mean {close[0]!r}?"
    return f" (known: {', '.join(known) or 'none'})"


def _pick(table: dict[str, T], name: str, what: str) -> T:
    if name not in table:
        raise NetchuError(f"unknown {what} {name!r}; params.yaml has: {', '.join(sorted(table))}")
    return table[name]


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and validate params.yaml.

    Raises:
        NetchuError: the file is missing, cannot be read or is not YAML in UTF-8, a key is unknown
            or missing, or a value is wrong.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NetchuError(f"{path} is not here; run in the repository's root") from None
    except OSError as error:
        raise NetchuError(f"{path} cannot be read: {error.strerror}; check the file") from None
    except UnicodeDecodeError as error:
        raise NetchuError(
            f"{path} is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from None
    except yaml.YAMLError as error:
        raise NetchuError(f"{path} is not YAML: {error}") from None
    return parse_config(Params, content, str(path))


def parse_config(config_class: type[T], values: Any, where: str) -> T:
    """Validate plain `values` and make a dataclass of them.

    Args:
        config_class: the dataclass, usually one derived from `Strict`.
        values: a mapping as YAML or JSON gives it.
        where: what the values are called in an error message.

    Raises:
        NetchuError: a key is unknown or missing, or a value has the wrong type.
    """
    try:
        return TypeAdapter(config_class).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise NetchuError(f"{where}: {_explain(config_class, first)}") from None


def _explain(config_class: type[Any], error: Any) -> str:
    """Describe one error of pydantic in one line; of an unknown key, name the known ones."""
    path = [str(part) for part in error["loc"]]
    key = ".".join(path)
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = _keys_at(config_class, path[:-1])
        return f"unknown key {key}{_hint(path[-1], known)}"
    if error["type"] == "missing":
        return f"the key {key} is missing"
    if error["type"] == "value_error":  # of our own checks, whose messages say all
        return ": ".join(filter(None, (key, str(error["ctx"]["error"]))))
    message = error["msg"][0].lower() + error["msg"][1:]
    return f"{key or 'content'}: {message}, got {error['input']!r:.80}"


def _keys_at(config_class: type[Any], path: list[str]) -> list[str]:
    """Return the field names of the dataclass at `path`; keys of mappings and lists are skipped."""
    from typing import get_args, get_type_hints

    inner = config_class
    for part in path:
        hints = get_type_hints(inner) if hasattr(inner, "__dataclass_fields__") else {}
        if part in hints:
            hint = hints[part]
            inner = next(
                (a for a in reversed(get_args(hint)) if hasattr(a, "__dataclass_fields__")), hint
            )
    return [f.name for f in fields(inner)] if hasattr(inner, "__dataclass_fields__") else []
