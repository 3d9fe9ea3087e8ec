"""The runs of a profile, recorded from the outputs of its stages.

After `dvc pull`, or after a time without a tracking server, the files are there and the runs are
not. A run that is there already, by the hash of its files, is not recorded again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from netchu.core.errors import NetchuError
from netchu.core.params import Params
from netchu.tracking import store
from netchu.tracking.baseline_run import baseline_run
from netchu.tracking.evaluation_run import evaluation_run
from netchu.tracking.runs import Run, report_run, training_run
from netchu.training.stage_info import training_stages


@dataclass
class Recorded:
    """Names of runs: recorded now, there before, and of stages without outputs."""

    new: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def record_profile(params: Params) -> Recorded:
    """Record the training, evaluation and report stages of a profile that have outputs.

    Raises:
        NetchuError: the tracking server cannot be reached.
    """
    recorded = Recorded()
    with store.connect(f"record the runs of {params.profile}") as client:
        experiment = store.experiment_id(client, params)
        for name, collect in _stages(params):
            try:
                run = collect()
            except NetchuError:
                recorded.missing.append(name)
                continue
            query = f"tags.content = '{run.content}'"
            found = client.search_runs([experiment], query, max_results=1)
            if found and store.INCOMPLETE not in found[0].data.tags:
                recorded.present.append(name)
                continue
            store.record_run(params, run, run_id=found[0].info.run_id if found else None)
            recorded.new.append(name)
    return recorded


def _stages(params: Params) -> Iterator[tuple[str, Callable[[], Run]]]:
    """Yield the name of each stage that is tracked, and what collects its run."""
    for system in params.systems:
        for stage in training_stages(params, system):
            folder = params.model_folder(system, stage)
            yield f"{system} {stage}", partial(training_run, params, system, stage, folder)
        yield f"{system} evaluate", partial(evaluation_run, params, system)
    for baseline in params.baselines:
        yield f"{baseline} baseline", partial(baseline_run, params, baseline)
    yield "report", partial(report_run, params)
