"""The self-contained HTML page: what the template shows, gathered in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from netchu.lines import Skipped
from netchu.params import PhaseParams
from netchu.report import charts, format
from netchu.report.gallery import build_gallery
from netchu.report.gather import Findings, count_reasons
from netchu.report.leaderboard import HEADINGS, SIZE, rows, tested_on
from netchu.report.published import PUBLISHED

MAX_LISTED = 50
"""Skipped lines that are listed one by one; beyond them the counts speak."""

Cells = list[list[str]]


@dataclass(frozen=True)
class SkippedGroup:
    """Lines left out in one place: how many for each reason, and those that may be shown."""

    name: str
    total: int
    reasons: dict[str, int]
    listed: list[Skipped]


def render(findings: Findings) -> str:
    """The page as HTML text."""
    environment = Environment(
        loader=PackageLoader("netchu.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": format.percent}
    return environment.get_template("report.html.j2").render(
        findings=findings,
        headings=HEADINGS,
        size=SIZE,
        rows=rows(findings),
        tested_on=tested_on(findings),
        colours={s: charts.colour_of(findings, s) for s in findings.params.systems},
        bars=_bars(findings),
        charts=_charts(findings),
        levels=_levels(findings),
        variants=_variants(findings),
        published=_published(findings),
        gallery=build_gallery(findings),
        skipped=_skipped(findings),
        training=_training(findings),
        machines=sorted({r.speed["machine"] for r in findings.results if "machine" in r.speed}),
    )


def _bars(findings: Findings) -> dict[str, dict[str, float]]:
    """Per system the CER bar and the ends of its interval, in percent of the widest."""
    widest = max((r.metrics["overall"]["cer_high"] for r in findings.results), default=1) or 1
    # A tiny random checkpoint may loop to 700 %; beside it the others' bars would vanish.
    widest = min(widest, 1.0)
    return {
        r.system: {
            key: min(100.0, round(100 * r.metrics["overall"][key] / widest, 2))
            for key in ("cer", "cer_low", "cer_high")
        }
        for r in findings.results
    }


def _charts(findings: Findings) -> dict[str, Markup]:
    drawn = {
        "CER against size": charts.svg(
            lambda axes: charts.draw_pareto(
                axes, findings, "size, MB", lambda r: float(r.metrics["size_mb"])
            ),
            "CER against size",
        ),
        "CER against time": charts.svg(
            lambda axes: charts.draw_pareto(
                axes, findings, "one line on one core, median ms", charts.latency
            ),
            "CER against time",
        ),
        "Validation CER while training": charts.svg(
            lambda axes: charts.draw_curve(axes, findings, "val_cer", "validation CER, %", 100),
            "Validation CER while training",
        ),
        "Training loss": charts.svg(
            lambda axes: charts.draw_curve(axes, findings, "train_loss", "loss (each its own)", 1),
            "Training loss",
        ),
        "What the errors are": charts.svg(
            lambda axes: charts.draw_kinds(axes, findings), "What the errors are"
        ),
    }
    return {title: Markup(text) for title, text in drawn.items()}


def _levels(findings: Findings) -> dict[str, Any]:
    """CER of each system (rows) on each dataset and level (columns)."""
    places = sorted(
        {
            (d, level)
            for r in findings.results
            for d, ls in r.metrics["datasets"].items()
            for level in ls
        }
    )
    body: Cells = []
    for result in findings.results:
        cells = [result.system]
        for dataset, level in places:
            rates = result.metrics["datasets"].get(dataset, {}).get(level)
            cells.append(
                f"{format.percent(rates['cer'])} ({format.interval(rates)})"
                if rates
                else format.UNKNOWN
            )
        body.append(cells)
    return {"head": ["system", *(f"{d}, {level}" for d, level in places)], "body": body}


def _variants(findings: Findings) -> Cells:
    """For systems that read in several ways: system, way, dataset, level, CER, WER, loop rate."""
    body: Cells = []
    for result in findings.results:
        others = result.metrics["variants"]
        ways = {result.metrics["main"]: result.metrics["datasets"]}
        ways |= {name: summary["datasets"] for name, summary in others.items()}
        for way, datasets in ways.items() if others else ():
            body += [
                [result.system, way.replace("_", "-"), dataset, level, format.percent(rates["cer"]),
                 format.percent(rates["wer"]), format.percent(rates["loop_rate"])]
                for dataset, levels in datasets.items()
                for level, rates in levels.items()
            ]  # fmt: skip
    return body


def _published(findings: Findings) -> Cells:
    """System, our CER here, what was published, on what, and why the two do not compare."""
    ours = {
        r.system: f"{format.percent(r.cer)} ({format.interval(r.metrics['overall'])})"
        for r in findings.results
    }
    return [
        [p.system, ours.get(p.system, format.UNKNOWN), p.figure, p.data, p.not_comparable]
        for p in PUBLISHED
    ]


def _skipped(findings: Findings) -> list[SkippedGroup]:
    tables = [
        _group(f"data: {name}", lines, name in findings.open_datasets)
        for name, lines in findings.skipped.items()
    ]
    systems = [
        _group(f"training of {r.system}", r.skipped, findings.may_list(r.system))
        for r in findings.results
    ]
    return tables + systems


def _group(name: str, lines: list[Skipped], may_list: bool) -> SkippedGroup:
    listed = lines[:MAX_LISTED] if may_list else []
    return SkippedGroup(name, len(lines), count_reasons(lines), listed)


def _training(findings: Findings) -> Cells:
    """One row a phase: system, stage, datasets, batches, learning rate, and what is special."""
    body: Cells = []
    for system, params in findings.params.systems.items():
        for stage, phases in (("pretrain", params.pretrain), ("finetune", params.finetune)):
            for number, phase in enumerate(phases, start=1):
                body.append(
                    [
                        system,
                        stage if len(phases) == 1 else f"{stage} {number}",
                        ", ".join(phase.datasets),
                        f"{phase.epochs} × {phase.steps_per_epoch} × {phase.batch_size} lines",
                        f"{phase.optimizer} {phase.learning_rate:g}, {phase.schedule}",
                        _special(phase),
                    ]
                )
    return body


def _special(phase: PhaseParams) -> str:
    first, last = phase.difficulty
    parts = [f"augmentation {first:g}" + (f" → {last:g}" if last != first else "")]
    parts += [f"frozen: {phase.freeze}"] if phase.freeze else []
    parts += [f"{phase.folds} folds"] if phase.folds > 1 else []
    parts += [f"stops after {phase.patience} epochs without gain"] if phase.patience else []
    return "; ".join(parts)
