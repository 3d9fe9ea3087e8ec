"""`compose.yaml` fits the rest of the project."""

import re

import yaml

from compositions import ROOT


def test_the_teams_server_has_the_locked_driver_of_postgresql():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    installs = services["mlflow-team"]["build"]["dockerfile_inline"]
    (version,) = re.findall(r"psycopg\[binary\]==([\w.]+)", installs)
    locked = (ROOT / "requirements.lock").read_text("utf-8")
    assert re.findall(r"^psycopg==(\S+)", locked, re.MULTILINE) == [version]
    database = services["mlflow-team"]["environment"]["MLFLOW_BACKEND_STORE_URI"]
    user, host = re.fullmatch(r"postgresql://(\w+):.*@(\w+)/mlflow", database).groups()
    assert services[host]["environment"]["POSTGRES_USER"] == user
