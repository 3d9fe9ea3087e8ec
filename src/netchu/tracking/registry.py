"""The registered model of a profile: exported readers by version, and which of them is trusted.

`python -m netchu.tracking.registry register` makes the best exported system a version, alias
`challenger`; `promote` makes the challenger the `champion` if it reads better than the present one
beyond what chance explains, and refuses otherwise.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace

from netchu.core.errors import NetchuError, one_line_errors
from netchu.core.params import Params, load_params
from netchu.core.paths import CARD
from netchu.evaluation.comparison import DECIDES, OVERALL, Row, System, compare, systems, worse
from netchu.tracking import store
from netchu.tracking.evaluation_run import evaluation_run
from netchu.tracking.runs import read_json

CHAMPION, CHALLENGER = "champion", "challenger"


def register(params: Params, system: str) -> str:
    """Make the exported `system` a version, alias challenger; return the version's number.

    It belongs to the newest evaluation run of the same weights, which is recorded now if the
    server has none. The same weights with the same evaluation are the same version.

    Raises:
        NetchuError: the system is not evaluated or not exported, or the server cannot be reached.
    """
    trained = read_json(params.model_folder(system, "finetune") / CARD)
    folder = params.models / system / "export"
    exported = read_json(folder / CARD)
    if any(exported.get(key) != trained.get(key) for key in ("provenance", "training")):
        raise NetchuError(
            f"{folder} was not made of the present weights; run 'dvc repro export@{system}'"
        )
    name = store.experiment_name(params)
    with store.connected(f"register {system}") as client:
        run_id = _evaluation(client, params, system, str(trained["weights"]))
        version = _version(client, name, run_id, exported["weights"])
        if version is None:
            version = store.log_reader(run_id, folder, name)
            told = {"system": system, "weights": str(exported["weights"])}
            for key, value in told.items():
                client.set_model_version_tag(name, version, key, value)
            note = evaluation_run(params, system, 0).note
            client.update_model_version(name, version, f"{system}, exported.\n\n{note}")
        client.set_registered_model_alias(name, CHALLENGER, version)
    return version


def _evaluation(client: store.Client, params: Params, system: str, weights: str) -> str:
    """Id of the newest run that evaluated these weights."""
    experiment = client.get_experiment_by_name(store.experiment_name(params))
    wanted = f"tags.stage = 'evaluate' and tags.weights = '{weights}'"
    found = client.search_runs([experiment.experiment_id], wanted) if experiment else []
    if found:
        return str(found[0].info.run_id)
    return store.record(params, evaluation_run(params, system, 0))


def _version(client: store.Client, name: str, run_id: str, weights: str) -> str | None:
    """The version that holds these weights and belongs to this evaluation."""
    for found in client.search_model_versions(f"name = '{name}'"):
        if found.run_id == run_id and found.tags.get("weights") == weights:
            return str(found.version)
    return None


def best_system(params: Params) -> str:
    """The exported and evaluated system of the lowest overall CER."""
    home = params.models
    cer = {
        system: read_json(path)["overall"]["cer"]
        for system in params.exports
        if (path := home / system / "evaluation" / "metrics.json").is_file()
    }
    if not cer:
        raise NetchuError(
            f"no system of profile {params.profile} is both exported and evaluated; name one under "
            "exports and run 'dvc repro'"
        )
    return min(cer, key=lambda system: (cer[system], system))


def promote(params: Params) -> str:
    """Make the challenger the champion; return one line that says why.

    The first challenger needs no test. Every other must have the lower CER over all lines beyond
    noise (`comparing`), and must be worse nowhere.

    Raises:
        NetchuError: there is no challenger, it is the champion already or does not read better, the
            two have read other lines, or the server cannot be reached.
    """
    name = store.experiment_name(params)
    with store.connected(f"promote a version of {name}") as client:
        aliases = _aliases(client, name)
        if CHALLENGER not in aliases:
            raise NetchuError(
                f"{name} has no challenger; run 'python -m netchu.tracking.registry register'"
            )
        challenger, champion = aliases[CHALLENGER], aliases.get(CHAMPION)
        if challenger == champion:
            raise NetchuError(f"version {champion} of {name} is champion already; register another")
        why = "the first champion"
        if champion is not None:
            why = _better(_evaluated(client, name, champion), _evaluated(client, name, challenger))
        client.set_registered_model_alias(name, CHAMPION, challenger)
        client.delete_registered_model_alias(name, CHALLENGER)
    return f"version {challenger} of {name} is champion: {why}"


def _aliases(client: store.Client, name: str) -> dict[str, str]:
    """Version by alias."""
    found = client.search_registered_models(f"name = '{name}'")
    if not found:
        raise NetchuError(f"no model {name} is registered; run 'make register'")
    return {alias: str(version) for alias, version in found[0].aliases.items()}


def _evaluated(client: store.Client, name: str, version: str) -> System:
    """What the system behind a version read, as its evaluation run tells."""
    run_id = client.get_model_version(name, version).run_id
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(run_id, "metrics.json", folder)
        (system,) = systems(path).values()
    return replace(system, name=f"version {version}")


def _better(champion: System, challenger: System) -> str:
    """In what the challenger is better.

    Raises:
        NetchuError: it is not, or not surely, or somewhere it is worse.
    """
    rows = compare(champion, challenger)
    (overall,) = (row for row in rows if (row.place, row.rate) == (OVERALL, DECIDES))
    lost = worse(rows)
    if lost or overall.verdict != "better":
        told = "; ".join(f"{row.place}: {_told(row)}" for row in lost or [overall])
        raise NetchuError(
            f"{challenger.name} does not read better than the champion, {champion.name} ({told}); "
            "the champion stays"
        )
    return _told(overall)


def _told(row: Row) -> str:
    return (
        f"CER {100 * row.after:.2f} % against {100 * row.before:.2f} %, better with probability "
        f"{100 * row.probability:.1f} %"
    )


def main() -> None:
    """Register or promote, for the profile in params.yaml."""
    parser = argparse.ArgumentParser(prog="python -m netchu.tracking.registry", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("register", help="make an exported system the challenger")
    adding.add_argument("system", nargs="?", help="the one of the lowest CER, if none is named")
    commands.add_parser("promote", help="make the challenger the champion, if it reads better")
    asked = parser.parse_args()
    with one_line_errors():
        params = load_params()
        if asked.command == "promote":
            print(promote(params))
        else:
            system = asked.system or best_system(params)
            params.system(system)
            version = register(params, system)
            name = store.experiment_name(params)
            print(f"{system} is version {version} of {name}, alias {CHALLENGER}")


if __name__ == "__main__":
    main()
