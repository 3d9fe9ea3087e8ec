"""The images of the Dockerfile are built, run, stopped and started again."""

import base64
import csv
import json
import re
import urllib.request
from pathlib import Path

import pytest
import yaml
from mlflow.tracking import MlflowClient

import tracked_project
from compositions import ROOT
from containers import USER_ID, engine
from mlflow_process import free_port
from netchu.tracking import store
from netchu.tracking.runs import Run

pytestmark = [pytest.mark.containers, pytest.mark.timeout(3000)]

LARGEST_MB = {"netchu": 500, "mlflow": 1200}


@pytest.fixture(scope="module")
def images():
    """Both targets of the Dockerfile."""
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    with engine() as buildah:
        buildah.make_base(re.search(r"^FROM (\S+)", dockerfile, re.MULTILINE)[1])
        for target in LARGEST_MB:
            buildah.build(target)
        yield buildah


def ask(address, content=None):
    """Get a page, or post JSON to it; return what it answers."""
    data = content and json.dumps(content).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def test_the_page_reads_a_sample_and_keeps_corrections_across_a_restart(images, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    volume, command = (kept, "/corrections"), services["netchu"]["command"]
    with images.running("netchu", port, volume, command) as container:
        assert not container.is_healthy()
        with container.started(tmp_path / "first.log") as process:
            assert process.uids().real == USER_ID
            first, second, _ = json.loads(ask(f"{address}/api/samples"))["samples"]
            line = base64.b64encode(ask(address + first["url"])).decode()
            (reading,) = json.loads(ask(f"{address}/api/read", {"images": [line]}))["readings"]
            assert len(reading["text"]) > 5 and reading["confidence"] > 0
            label = {"image": line, "label": "một"}
            assert json.loads(ask(f"{address}/api/corrections", label)) == {"corrections": 1}
        with container.started(tmp_path / "second.log"):
            line = base64.b64encode(ask(address + second["url"])).decode()
            label = {"image": line, "label": "hai"}
            assert json.loads(ask(f"{address}/api/corrections", label)) == {"corrections": 2}
    with (kept / "corrections.csv").open(encoding="utf-8") as file:
        assert {"một", "hai"} <= {cell for row in csv.reader(file) for cell in row}


def test_the_tracking_server_takes_a_run_and_has_it_after_a_restart(images, tmp_path, monkeypatch):
    kept, port = tmp_path / "kept", free_port()
    kept.mkdir()
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")
    curve = tmp_path / "history.csv"
    curve.write_text("epoch,val_cer\n0,0.5\n")
    run = Run("x", {"stage": "evaluate"}, {"rate": 0.001}, {"cer": 0.5}, files=[curve])
    with images.running("mlflow", port, (kept, "/store")) as container:
        assert not container.is_healthy()
        with container.started(tmp_path / "first.log") as process:
            assert process.uids().real == USER_ID
            run_id = store.record_run(tracked_project.params(), run)
        with container.started(tmp_path / "second.log"):
            client = MlflowClient(address)
            found = client.get_run(run_id)
            assert (found.info.status, found.data.tags["stage"]) == ("FINISHED", "evaluate")
            assert (found.data.params["rate"], found.data.metrics) == ("0.001", {"cer": 0.5})
            fetched = client.download_artifacts(run_id, curve.name)
            assert Path(fetched).read_text() == "epoch,val_cer\n0,0.5\n"


def test_the_images_are_small(images):
    sizes = {image: images.megabytes(image) for image in LARGEST_MB}
    assert all(sizes[image] <= largest for image, largest in LARGEST_MB.items()), sizes
