"""`compose.yaml` and the `Dockerfile` fit each other."""

import re

import yaml

from compositions import ROOT


def test_the_teams_server_has_a_driver_of_its_database():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    team = services["mlflow-team"]
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    (installs,) = re.findall(rf"^FROM tools AS build-{team['build']['target']}\n[^F]*",
                             dockerfile, re.MULTILINE)  # fmt: skip
    assert "'psycopg[binary]'" in installs
    database = team["environment"]["MLFLOW_BACKEND_STORE_URI"]
    user, host = re.fullmatch(r"postgresql://(\w+):.*@(\w+)/mlflow", database).groups()
    assert services[host]["environment"]["POSTGRES_USER"] == user
