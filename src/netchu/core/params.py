"""params.yaml as typed values: every default has its one place here, and a wrong key fails.

The profiles in `conf/` compose params.yaml; the stages read nothing else.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from netchu.core.errors import NetchuError
from netchu.core.paths import DATA, MODELS, REPORTS

T = TypeVar("T")


class Strict:
    """A base whose dataclasses refuse keys they do not know."""

    __pydantic_config__ = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class ComputeParams(Strict):
    """What makes figures hold from run to run and from machine to machine.

    threads: CPU threads of every stage. isa: the widest instruction set used (`AVX2` holds on any
    x86-64 machine since 2013; `native` is faster and gives other roundings elsewhere).
    workers: processes that load lines beside a training; no byte depends on them.
    """

    threads: int = 2
    isa: Literal["AVX2", "native"] = "AVX2"
    # Not in the representation, of which the key of a checkpoint is made.
    workers: int = field(default=0, repr=False)


@dataclass(frozen=True)
class TrainerParams(Strict):
    """Handed to lightning.Trainer as they are."""

    accelerator: str = "cpu"
    strategy: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    precision: str = "32-true"


@dataclass(frozen=True)
class SyntheticParams(Strict):
    """One kind of generated lines.

    hand: who writes: `font` files, `ink` (pen strokes of VNOnDB's training writers), or `copy`
    (distorted copies of training lines). text: what is written; copies need none. words: fewest
    and most words of a line. fonts: the families by split (each family is a writer). datasets:
    whose training lines lend their strokes or are copied. papers: datasets whose training photos
    lend their paper; without them it is drawn. corpus: the folder that the text needs ('' for
    none). distortion: 0 clean … 1 as bad as a phone photo. shares: of the splits.
    """

    count: int
    hand: Literal["font", "ink", "copy"] = "font"
    text: Literal["", "syllable", "address", "verse"] = ""
    words: tuple[int, int] = (1, 3)
    fonts: dict[str, list[str]] = field(default_factory=dict)
    datasets: tuple[str, ...] = ()
    papers: tuple[str, ...] = ()
    corpus: str = ""
    height: int = 64
    distortion: float = 0.5
    shares: dict[str, float] = field(
        default_factory=lambda: {"train": 0.9, "val": 0.05, "test": 0.05}
    )


@dataclass(frozen=True)
class SynthesisParams(Strict):
    """Where lines are generated; the bytes do not depend on it.

    executor: processes of this machine, or Ray. workers: how many. address: of a Ray cluster; ''
    takes a running one, or starts one here.
    """

    executor: Literal["local", "ray"] = "local"
    workers: int = 2
    address: str = ""


@dataclass(frozen=True)
class DatasetParams(Strict):
    """One line table: which source fills it, from where, at which level, and how it is split.

    val_share, test_share: shares of the writers (or of the lines, where no writer is known) that
    are held out; 0 where the source itself says which lines are for testing.
    limit: the most lines that are kept of each split and level, drawn by seed; 0 keeps all.
    """

    source: Literal["synthetic", "kalapa", "cinnamon", "vnondb", "uit_hwdb", "csv"]
    input: str
    levels: tuple[str, ...] = ("line",)
    val_share: float = 0.1
    test_share: float = 0.15
    limit: int = 0


@dataclass(frozen=True)
class PhaseParams(Strict):
    """One run of the optimiser; a stage is a list of them.

    datasets: one that is named twice is shown twice as often. epochs × steps_per_epoch batches are
    drawn, whatever the number of lines; a checkpoint is written after every epoch. augmentation_strength:
    augmentation at the first and at the last epoch (the curriculum), 0 is none. freeze: the part of
    the network that is not trained ('' for none).
    patience: epochs without a better validation CER before training stops; 0 never stops.
    height: pixels of the lines in this phase, where the network reads at any; 0 is its own height.
    ema_decay: what is validated and kept is a running mean of the weights, of which each step keeps
    this share (0.999, say); 0 keeps the weights themselves.
    folds: K of K-fold training; 1 trains once on the train split.
    """

    datasets: tuple[str, ...]
    epochs: int
    steps_per_epoch: int
    batch_size: int = 16
    learning_rate: float = 1e-3
    optimizer: Literal["adamw", "adam", "adamw8bit"] = "adamw"
    weight_decay: float = 0.01
    schedule: Literal["constant", "cosine", "onecycle", "plateau"] = "onecycle"
    warmup: float = 0.1
    clip: float = 5.0
    augmentation_strength: tuple[float, float] = (0.5, 0.5)
    levels: tuple[str, ...] = ("word", "line", "paragraph")
    concat_prob: float = 0.0
    freeze: str = ""
    patience: int = 0
    height: int = 0
    ema_decay: float = 0.0
    folds: int = 1
    val_lines: int = 256


@dataclass(frozen=True)
class SystemParams(Strict):
    """A recogniser, a row of the table: `model` holds its network's own keys; the two stages are
    lists of phases.

    network: the file in models/ ('' is the one that is called like the system). family: the folder
    there that the file builds on, which dvc.yaml needs to know. start: the system whose pretraining
    is fine-tuned ('' is this one's own). note: what the report says about the row (too small to
    learn in minutes, say).
    """

    model: dict[str, Any]
    pretrain: list[PhaseParams]
    finetune: list[PhaseParams]
    network: str = ""
    family: str = ""
    start: str = ""
    note: str = ""


@dataclass(frozen=True)
class EvaluateParams(Strict):
    """datasets: whose lines are read; the same lines for every system.

    split: `test`, or `val` while something is still to be chosen. limit: the most lines per dataset
    and level (0 is all). latency_lines: how many of them are timed one by one on one core.
    resamples: of the bootstrap.
    """

    datasets: tuple[str, ...]
    split: Literal["val", "test"] = "test"
    limit: int = 0
    batch_size: int = 16
    latency_lines: int = 30
    resamples: int = 1000


@dataclass(frozen=True)
class ReportParams(Strict):
    """gallery: datasets whose lines may be shown in the committed report (never research-only)."""

    gallery: tuple[str, ...] = ()
    gallery_lines: int = 8


@dataclass(frozen=True)
class Params(Strict):
    """All of params.yaml.

    exports: systems that are written to be read without torch; their networks end in CTC.
    baselines: what stands beside the systems in the table, each with its own keys (`baselines/`).
    """

    profile: str
    seed: int
    compute: ComputeParams
    trainer: TrainerParams
    sources: dict[str, dict[str, Any]]
    synthetic: dict[str, SyntheticParams]
    datasets: dict[str, DatasetParams]
    systems: dict[str, SystemParams]
    evaluate: EvaluateParams
    exports: tuple[str, ...] = ()
    baselines: dict[str, dict[str, Any]] = field(default_factory=dict)
    report: ReportParams = ReportParams()
    synthesis: SynthesisParams = SynthesisParams()

    def system(self, name: str) -> SystemParams:
        """The parameters of one system; an unknown name is an error that lists the known ones."""
        return _pick(self.systems, name, "system")

    def network(self, system: str) -> str:
        """The network that a system is made of."""
        return self.system(system).network or system

    def dataset(self, name: str) -> DatasetParams:
        """The parameters of one dataset."""
        return _pick(self.datasets, name, "dataset")

    def kind(self, name: str) -> SyntheticParams:
        """The parameters of one kind of synthesis."""
        return _pick(self.synthetic, name, "kind of synthesis")

    def is_fully_synthetic(self, dataset: str) -> bool:
        """Whether a dataset is generated without strokes, lines or papers of anybody."""
        wanted = self.dataset(dataset)
        kind = self.synthetic.get(Path(wanted.input).name)
        return wanted.source == "synthetic" and not (kind and (kind.datasets or kind.papers))

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


def _pick(table: dict[str, T], name: str, what: str) -> T:
    if name not in table:
        raise NetchuError(f"unknown {what} {name!r}; params.yaml has: {', '.join(sorted(table))}")
    return table[name]


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check params.yaml.

    Raises:
        NetchuError: no file, not YAML, an unknown or missing key, a value of a wrong type.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NetchuError(f"{path} is not here; run in the repository's root") from None
    except yaml.YAMLError as error:
        raise NetchuError(f"{path} is not YAML: {error}") from None
    return parse_config(Params, content, str(path))


def parse_config(kind: type[T], values: Any, where: str) -> T:
    """Make the dataclass `kind` of plain `values`; `where` names them in the error."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise NetchuError(f"{where}: {_explain(kind, first)}") from None


def _explain(kind: type[Any], problem: Any) -> str:
    """One line for one pydantic error, with the keys that were possible."""
    path = [str(part) for part in problem["loc"]]
    place = ".".join(path)
    if problem["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = _keys_at(kind, path[:-1])
        close = difflib.get_close_matches(path[-1], known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"unknown key {place}{hint} (known: {', '.join(known)})"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    return f"{place or 'content'}: {message}, got {problem['input']!r:.80}"


def _keys_at(kind: type[Any], path: list[str]) -> list[str]:
    """Field names of the dataclass found by walking `path` (dict keys and list places skipped)."""
    from typing import get_args, get_type_hints

    for part in path:
        hints = get_type_hints(kind) if hasattr(kind, "__dataclass_fields__") else {}
        if part in hints:
            inner = hints[part]
            kind = next(
                (a for a in reversed(get_args(inner)) if hasattr(a, "__dataclass_fields__")), inner
            )
    return [f.name for f in fields(kind)] if hasattr(kind, "__dataclass_fields__") else []
