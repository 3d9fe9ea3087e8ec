"""Keys, hosts, origins and headers."""

import base64
import re
import time

import pytest

from bar_model import bars
from netchu import Reader
from netchu.imaging.images import encode
from netchu.serve import web_page
from netchu.serve.access import SECURITY_HEADERS

PATHS = ["/", "/docs", "/static/main.js", "/api/models", "/api/nothing", "/healthz", "/metrics"]


@pytest.mark.parametrize("path", PATHS)
def test_every_response_has_the_security_headers(client, path):
    answer = client().get(path)
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_requests_need_the_key_if_there_is_one(client):
    api = client(key="hết-sức-bí-mật")
    for path in ("/api/models", "/api/samples", "/metrics"):
        refused = api.get(path)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        for wrong in ("Bearer x", "Basic aGVq", "Bearer "):
            assert api.get(path, headers={"Authorization": wrong}).status_code == 401
        right = {"Authorization": "Bearer hết-sức-bí-mật".encode()}
        assert api.get(path, headers=right).status_code == 200
    for path in ("/", "/docs", "/healthz", "/static/main.js"):
        assert api.get(path).status_code == 200


def test_every_route_of_the_api_needs_the_key(client, tmp_path):
    api = client(key="k", collect=tmp_path / "kept")
    routes = {
        (method.upper(), path)
        for path, methods in api.app.openapi()["paths"].items()
        for method in methods
    } - {("GET", "/healthz")}
    assert {("POST", "/api/read"), ("POST", "/api/corrections"), ("GET", "/metrics")} <= routes
    content = {"image": base64.b64encode(encode(bars("ah"))).decode(), "label": "hai"}
    for method, path in sorted(routes):
        for headers in ({}, {"Authorization": "Bearer x"}):
            answer = api.request(method, path.replace("{number}", "0"), json=content,
                                 headers=headers)  # fmt: skip
            assert answer.status_code == 401, (method, path)
    assert not (tmp_path / "kept" / "corrections.csv").exists()
    right = {"Authorization": "Bearer k"}
    assert api.post("/api/corrections", json=content, headers=right).status_code == 201


def test_a_local_server_refuses_other_host_names(client):
    api = client()
    for name in ("localhost", "localhost:8000", "127.0.0.1:80", "[::1]:8000"):
        assert api.get("/healthz", headers={"Host": name}).status_code == 200
    assert api.get("/healthz", headers={"Host": "rebound.example"}).status_code == 400
    named = client(hosts=None)
    assert named.get("/healthz", headers={"Host": "reader.example"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/static/main.js", "/healthz"])
def test_pages_answer_head(client, path):
    api = client()
    answer = api.head(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == api.get(path).headers["content-type"]


def test_other_origins_are_refused_unless_allowed(client):
    there = {"Origin": "https://school.example"}
    assert "access-control-allow-origin" not in client().get("/api/models", headers=there).headers
    named = client(origins=("https://school.example",))
    allowed = named.get("/api/models", headers=there)
    assert allowed.headers["access-control-allow-origin"] == "https://school.example"
    other = named.get("/api/models", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_requests_are_counted_by_route_never_by_path(client):
    api = client()
    for path in ("/healthz", "/healthz", "/static/secret-7", "/secret-8", "/api/samples/0"):
        api.get(path)
    text = api.get("/metrics").text
    assert 'netchu_requests_total{route="/healthz",status="200"} 2.0' in text
    assert 'netchu_requests_total{route="/static/{name}",status="404"} 1.0' in text
    assert 'netchu_requests_total{route="other",status="404"} 1.0' in text
    assert "secret" not in text
    assert "netchu_held_images 0.0" in text
    assert "process_resident_memory_bytes" in text


def test_the_time_of_a_request_is_measured_and_an_exception_counts_as_500(client, monkeypatch):
    api = client()

    def fail(*_, **__):
        time.sleep(0.3)
        raise RuntimeError

    monkeypatch.setattr(Reader, "read_many", fail)
    content = {"images": base64.b64encode(encode(bars("ah"))).decode()}
    assert api.post("/api/read", json=content).status_code == 500
    text = api.get("/metrics").text
    assert 'netchu_requests_total{route="/api/read",status="500"} 1.0' in text
    (seconds,) = re.findall(r'^netchu_\w+_seconds_sum{route="/api/read"} (\S+)$', text, re.M)
    assert 0.3 <= float(seconds) < 60


@pytest.mark.parametrize(
    "path",
    ["/static/..%2fapp.py", "/static/../app.py", "/static//etc/passwd", "/static/app.py",
     "/api/samples/999999", "/api/samples/99999999999999999999999"],
)  # fmt: skip
def test_no_path_reads_from_the_disk(client, path, monkeypatch):
    monkeypatch.setattr(web_page.Path, "read_bytes", None)
    assert client().get(path).status_code == 404
