"""Keys, hosts, origins and headers."""

import pytest

from netchu.serve import web_page
from netchu.serve.access import HEADERS

PATHS = ["/", "/docs", "/static/main.js", "/api/models", "/api/nothing", "/healthz", "/metrics"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_has_the_headers(client, path):
    answer = client().get(path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_with_a_key_only_who_brings_it_is_answered(client):
    asking = client(key="hết-sức-bí-mật")
    for path in ("/api/models", "/api/samples", "/metrics"):
        refused = asking.get(path)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        for wrong in ("Bearer x", "Basic aGVq", "Bearer "):
            assert asking.get(path, headers={"Authorization": wrong}).status_code == 401
        right = {"Authorization": "Bearer hết-sức-bí-mật".encode()}
        assert asking.get(path, headers=right).status_code == 200
    assert asking.post("/api/read", content=b"x").status_code == 401
    for path in ("/", "/docs", "/healthz", "/static/main.js"):
        assert asking.get(path).status_code == 200


def test_a_server_of_this_machine_has_no_other_name(client):
    asking = client()
    for name in ("localhost", "localhost:8000", "127.0.0.1:80", "[::1]:8000"):
        assert asking.get("/healthz", headers={"Host": name}).status_code == 200
    assert asking.get("/healthz", headers={"Host": "rebound.example"}).status_code == 400
    named = client(hosts=None)
    assert named.get("/healthz", headers={"Host": "reader.example"}).status_code == 200


def test_other_sites_may_not_ask_unless_named(client):
    there = {"Origin": "https://school.example"}
    assert "access-control-allow-origin" not in client().get("/api/models", headers=there).headers
    named = client(origins=("https://school.example",))
    allowed = named.get("/api/models", headers=there)
    assert allowed.headers["access-control-allow-origin"] == "https://school.example"
    other = named.get("/api/models", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_requests_are_counted_by_route_never_by_path(client):
    asking = client()
    for path in ("/healthz", "/healthz", "/static/secret-7", "/secret-8", "/api/samples/0"):
        asking.get(path)
    told = asking.get("/metrics").text
    assert 'netchu_requests_total{route="/healthz",status="200"} 2.0' in told
    assert 'netchu_requests_total{route="/static/{name}",status="404"} 1.0' in told
    assert "secret" not in told
    assert "netchu_held_images 0.0" in told
    assert "process_resident_memory_bytes" in told


@pytest.mark.parametrize(
    "path",
    ["/static/..%2fapp.py", "/static/../app.py", "/static//etc/passwd", "/static/app.py",
     "/api/samples/999999", "/api/samples/99999999999999999999999"],
)  # fmt: skip
def test_nothing_is_fetched_by_path(client, path, monkeypatch):
    monkeypatch.setattr(web_page.Path, "read_bytes", None)  # nothing is even looked up
    assert client().get(path).status_code == 404
