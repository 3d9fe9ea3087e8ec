"""The registered model of a profile: versions of exported readers, and the champion among them.

`netchu register` makes the best exported system a version with the alias `challenger`; `netchu
promote` makes the challenger the `champion` if it reads significantly better than the present one,
and refuses otherwise.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from netchu.core.errors import NetchuError
from netchu.core.files import read_json
from netchu.core.formatting import megabytes, milliseconds
from netchu.core.params import Params
from netchu.evaluation.comparison import (
    OVERALL,
    ComparisonRow,
    EvaluatedSystem,
    compare_systems,
    load_systems,
    regressions,
)
from netchu.evaluation.metrics.registry import deciding_metric, find_metric
from netchu.models.export_files import EXPORT_FOLDER, read_export
from netchu.models.model_card import read_card
from netchu.tracking import store
from netchu.tracking.evaluation_run import evaluation_run
from netchu.tracking.runs import REPRODUCE

CHAMPION, CHALLENGER = "champion", "challenger"


def register(params: Params, system: str) -> str:
    """Make the exported `system` a version with the alias challenger; return its number.

    The version belongs to the newest evaluation run of the same weights, which is recorded now if
    the server has none. The same weights with the same evaluation are not registered twice.

    Raises:
        NetchuError: the system is not evaluated or not exported, or the server cannot be reached.
    """
    trained = read_card(params.model_folder(system, "finetune"))
    home = params.models / system
    export, speed = read_export(home)
    folder = home / EXPORT_FOLDER
    exported = read_card(folder)
    if any(exported.get(key) != trained.get(key) for key in ("provenance", "training")):
        raise NetchuError(
            f"{folder} was not exported from the present weights; run 'dvc repro export@{system}'"
        )
    name = store.experiment_name(params)
    with store.connect(f"register {system}") as client:
        run_id = _evaluation_run_id(client, params, system, str(trained["weights"]))
        version = _find_version(client, name, run_id, exported["weights"])
        if version is None:
            version = store.log_reader(run_id, folder, name)
            tags = {"system": system, "weights": str(exported["weights"])}
            for key, value in (tags | _figures(export, speed)).items():
                client.set_model_version_tag(name, version, key, value)
            note = evaluation_run(params, system).note
            client.update_model_version(name, version, f"{system}, exported.\n\n{note}")
        client.set_registered_model_alias(name, CHALLENGER, version)
    return version


def _figures(export: Mapping[str, Any], speed: Mapping[str, Any]) -> dict[str, str]:
    """Return what MLflow's table of versions shows of an export: error, size and latency."""
    decides = deciding_metric()
    # A cell of the table is 20 characters wide; the intervals are in the description.
    rates = {
        f"{decides.name} {dataset}": decides.format(found[decides.name])
        for dataset, found in export["test"].items()
    }
    return rates | {
        "size": f"{megabytes(export['size_mb'])} MB",
        "latency": f"{milliseconds(speed['latency_p50_ms'])} ms a line",
    }


def _evaluation_run_id(client: store.Client, params: Params, system: str, weights: str) -> str:
    """Return the newest run that evaluated these weights; record one if there is none."""
    experiment = client.get_experiment_by_name(store.experiment_name(params))
    query = f"tags.stage = 'evaluate' and tags.weights = '{weights}'"
    runs = client.search_runs([experiment.experiment_id], query) if experiment else []
    if runs:
        return str(runs[0].info.run_id)
    return store.record_run(params, evaluation_run(params, system))


def _find_version(client: store.Client, name: str, run_id: str, weights: str) -> str | None:
    """Return the version that has these weights and belongs to this evaluation run."""
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.run_id == run_id and version.tags.get("weights") == weights:
            return str(version.version)
    return None


def best_system(params: Params) -> str:
    """Return the exported and evaluated system that is best in the deciding metric, CER."""
    metric = deciding_metric()
    keys = {
        system: metric.sort_key(read_json(path, REPRODUCE)["overall"][metric.name])
        for system in params.exports
        if (path := params.models / system / "evaluation" / "metrics.json").is_file()
    }
    if not keys:
        raise NetchuError(
            f"no system of profile {params.profile} is both exported and evaluated; name one under "
            "exports and run 'dvc repro'"
        )
    return min(keys, key=lambda system: (keys[system], system))


def promote(params: Params) -> str:
    """Make the challenger the champion; return one line that gives the reason.

    The first challenger needs no test. Every other one has to be significantly better over all
    lines (see `comparison`) and must not be significantly worse on any slice.

    Raises:
        NetchuError: there is no challenger, it is the champion already or does not read better, the
            two have read different lines, or the server cannot be reached.
    """
    name = store.experiment_name(params)
    with store.connect(f"promote a version of {name}") as client:
        aliases = _versions_by_alias(client, name)
        if CHALLENGER not in aliases:
            raise NetchuError(f"{name} has no challenger; run 'netchu register'")
        challenger, champion = aliases[CHALLENGER], aliases.get(CHAMPION)
        if challenger == champion:
            raise NetchuError(f"version {champion} of {name} is champion already; register another")
        reason = "the first champion"
        if champion is not None:
            reason = _compare(
                _evaluated_version(client, name, champion),
                _evaluated_version(client, name, challenger),
            )
        client.set_registered_model_alias(name, CHAMPION, challenger)
        client.delete_registered_model_alias(name, CHALLENGER)
    return f"version {challenger} of {name} is champion: {reason}"


def _versions_by_alias(client: store.Client, name: str) -> dict[str, str]:
    models = client.search_registered_models(f"name = '{name}'")
    if not models:
        raise NetchuError(f"no model {name} is registered; run 'netchu register'")
    return {alias: str(version) for alias, version in models[0].aliases.items()}


def _evaluated_version(client: store.Client, name: str, version: str) -> EvaluatedSystem:
    """Load the metrics of a version from its evaluation run."""
    run_id = client.get_model_version(name, version).run_id
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(run_id, "metrics.json", folder)
        (system,) = load_systems(path).values()
    return replace(system, name=f"version {version}")


def _compare(champion: EvaluatedSystem, challenger: EvaluatedSystem) -> str:
    """Return in what the challenger is better.

    Raises:
        NetchuError: it is not significantly better overall, or it is worse on a slice.
    """
    rows = compare_systems(champion, challenger)
    decides = deciding_metric().name
    (overall,) = (row for row in rows if (row.place, row.rate) == (OVERALL, decides))
    worse = regressions(rows)
    if worse or overall.verdict != "better":
        reasons = "; ".join(f"{row.place}: {_describe(row)}" for row in worse or [overall])
        raise NetchuError(
            f"{challenger.name} does not read better than the champion, {champion.name} "
            f"({reasons}); the champion stays"
        )
    return _describe(overall)


def _describe(row: ComparisonRow) -> str:
    return (
        f"{find_metric(row.rate).title} {100 * row.after:.2f} % against {100 * row.before:.2f} %, "
        f"better with probability {100 * row.probability:.1f} %"
    )
