"""Tests with a real MLflow server, which takes long to start."""

import base64
import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from mlflow.tracking import MlflowClient

import tracked_project
from bar_model import bars
from mlflow_process import free_port, mlflow_process, mlflow_server
from netchu.imaging.images import encode
from netchu.inference.reader import Reader
from netchu.tracking import registry, store
from netchu.tracking.evaluation_run import track_evaluation
from netchu.tracking.location import tracking_uri
from netchu.tracking.runs import report_run, training_run
from tracked_project import SYSTEM, write_system

pytestmark = pytest.mark.slow

NAME = "netchu-served"
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The URL of a server with its own database; the working directory is a new folder."""
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        database = tracked_project.put_store(folder)
        with mlflow_server(database, folder / "kept", folder / "server.log") as address:
            patch.setenv("MLFLOW_TRACKING_URI", address)
            patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
            yield address


@pytest.fixture(scope="module")
def project(server):
    """A project that is trained, evaluated, reported and registered; version 2 is champion."""
    params = tracked_project.params(profile="served")
    for weights, errors in (("aa", 10), ("bb", 5)):
        write_system(params, weights, errors)
        folder = tracked_project.home(params) / "finetune"
        store.track_run(params, training_run(params, SYSTEM, "finetune", folder))
        track_evaluation(params, SYSTEM, 1.5)
        registry.register(params, SYSTEM)
        registry.promote(params)
    tracked_project.write_report(params.report_folder)
    store.track_run(params, report_run(params))
    return params


def test_the_server_has_all_runs_and_their_files(project):
    client = MlflowClient(tracking_uri())
    experiment = client.get_experiment_by_name(NAME)
    assert experiment.tags["mlflow.note.content"].startswith("| system | CER |")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["stage"] for run in runs) == [
        "evaluate", "evaluate", "finetune", "finetune", "report",
    ]  # fmt: skip
    assert {run.info.status for run in runs} == {"FINISHED"}
    evaluated = client.search_runs(
        [experiment.experiment_id], "tags.stage = 'evaluate'", order_by=["metrics.cer ASC"]
    )
    assert [run.data.metrics["cer"] for run in evaluated] == [0.05, 0.1]
    files = {file.path for file in client.list_artifacts(evaluated[0].info.run_id)}
    assert files == {
        "metrics.json", "predictions.parquet", "speed.json", store.READINGS_FILE,
    }  # fmt: skip


def test_the_link_shows_the_systems_by_cer(project, server):
    """Open the link of `netchu ui` in a browser, since only MLflow's page knows views."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if not CHROMIUM:
        pytest.skip("needs Chromium: apt-get install chromium")
    output = subprocess.run(
        [sys.executable, "-m", "netchu", "ui"], capture_output=True, text=True, check=True
    ).stdout
    ((name, link),) = (line.split() for line in output.splitlines())
    assert (name, link.startswith(server)) == (NAME, True)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.goto(link)
        page.get_by_role("button", name="Systems: error, size, speed").wait_for(timeout=60_000)
        page.get_by_text("2 matching runs").wait_for(timeout=60_000)
        grid = page.locator("[role=grid]")
        shown = grid.inner_text()
        header = page.locator("[role=columnheader][col-id*=latency_p50_ms]")
        name = header.get_by_text("latency_p50_ms")
        ends = [box["x"] + box["width"] for box in (f.bounding_box() for f in (name, header, grid))]
        browser.close()
    assert shown.index("0.05") < shown.index("0.1")
    assert "size_mb" in shown
    # Latency is on a screen of 1600 px, beside MLflow's Assistant, and its name is not cut off.
    assert ends == sorted(ends), ends


def test_the_registered_model_is_downloaded(project):
    (model,) = MlflowClient(tracking_uri()).search_registered_models(f"name = '{NAME}'")
    assert model.aliases == {"champion": "2"}
    reader = Reader(store.download_model(f"models:/{NAME}@champion"))
    assert reader.read(encode(bars("hab")), line=True).text == "hab"


def test_the_champion_is_served_over_http(project, tmp_path):
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    arguments = [
        "models", "serve", "--model-uri", f"models:/{NAME}@champion",
        "--env-manager", "local", "--port", str(port),
    ]  # fmt: skip
    with mlflow_process(arguments, f"{address}/ping", tmp_path / "serve.log"):
        status, answer = ask(address, encode(bars("hab")))
        assert status == 200, answer
        own = Reader(tracked_project.home(project) / "export").read(encode(bars("hab")), line=True)
        (prediction,) = answer["predictions"]
        assert prediction["text"] == own.text == "hab"
        assert prediction["confidence"] == pytest.approx(own.confidence)
        status, answer = ask(address, b"no photo")
        assert status == 400
        assert "image 0: the image" in json.dumps(answer)


def ask(address, photo):
    """Post one photo as base64; return the status and the answer."""
    rows = {"columns": ["image"], "data": [[base64.b64encode(photo).decode()]]}
    content = json.dumps({"dataframe_split": rows, "params": {"line": True}}).encode()
    request = urllib.request.Request(
        f"{address}/invocations", content, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)
