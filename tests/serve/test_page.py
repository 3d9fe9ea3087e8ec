"""The page's own files and the samples, without a browser."""

import json
import re

import pytest

from bar_model import bars
from netchu.core.errors import NetchuError
from netchu.imaging.images import encode
from netchu.imaging.photos import read_photo
from netchu.serve.samples import SHIPPED_SAMPLES, Samples
from netchu.serve.web_page import STATIC

WORDS = (STATIC / "words.js").read_text(encoding="utf-8")


def test_every_file_is_served_with_an_etag(client):
    api = client()
    for path in STATIC.iterdir():
        answer = api.get(f"/static/{path.name}")
        assert answer.content == path.read_bytes()
        known = {"If-None-Match": answer.headers["etag"]}
        assert api.get(f"/static/{path.name}", headers=known).status_code == 304
    assert api.get("/").headers["content-type"] == "text/html; charset=utf-8"
    assert "javascript" in api.get("/static/main.js").headers["content-type"]


def test_the_page_has_no_external_or_inline_code():
    for path in STATIC.iterdir():
        content = path.read_text(encoding="utf-8")
        assert not set(re.findall(r"https?://[\w.]+", content)) - {"http://www.w3.org"}, path.name
        assert not re.search(r"\son\w+=|style=|<style|innerHTML|eval\(|<script>", content), (
            path.name
        )
    for page in ("index.html", "docs.html"):
        wanted = re.findall(r'(?:src|href)="/static/([^"]+)"', (STATIC / page).read_text())
        assert all((STATIC / name).is_file() for name in wanted)


def test_both_languages_have_all_texts():
    dictionary = WORDS.partition("\n};")[0]
    vi, en = (set(re.findall(r"(?:^|[ {])(\w+):\s*(?:[\"`(]|\(?\w+\)? =>)", part))
              for part in re.split(r"\n  en: ", dictionary))  # fmt: skip
    assert vi == en
    assert len(vi) > 40
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    scripts = "".join((STATIC / f"{name}.js").read_text() for name in ("main", "reading", "api"))
    used = re.findall(r'data-(?:word|label)="(\w+)"', page) + re.findall(r'word\("(\w+)"', scripts)
    assert set(used) <= vi


def test_openapi_has_all_routes_and_media_types(client):
    schema = client(collect=None).get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/api/read", "/api/models", "/api/samples", "/api/samples/{number}", "/healthz", "/metrics",
    }  # fmt: skip
    kinds = schema["paths"]["/api/read"]["post"]["requestBody"]["content"]
    assert set(kinds) == {"multipart/form-data", "application/json"}


def test_three_of_the_shipped_samples_are_drawn(client):
    paths = sorted(SHIPPED_SAMPLES.iterdir())
    assert len(paths) == 12
    for path in paths:
        assert path.stat().st_size < 20_000
        assert read_photo(path).shape[0] == 72
    api, seen = client(), set()
    for _ in range(20):
        drawn = api.get("/api/samples").json()["samples"]
        assert len({sample["url"] for sample in drawn}) == 3
        seen |= {sample["url"] for sample in drawn}
    assert len(seen) > 6
    image = api.get(drawn[0]["url"])
    assert image.headers["content-type"] == "image/jpeg"
    assert image.content == (SHIPPED_SAMPLES / drawn[0]["name"]).read_bytes()


def test_samples_of_a_user_folder(client, tmp_path):
    mine = tmp_path / "mine"
    (mine / "more").mkdir(parents=True)
    with pytest.raises(NetchuError, match="no image in this folder"):
        Samples(mine)
    for name in ("1.png", "more/2.PNG", "more/.3.png"):
        (mine / name).write_bytes(encode(bars("ah")))
    (mine / "notes.txt").write_text("no image")
    api = client(samples=mine)
    drawn = api.get("/api/samples").json()["samples"]
    assert {sample["name"] for sample in drawn} == {"1.png", "2.PNG"}
    (mine / "1.png").unlink()
    assert api.get("/api/samples/0").status_code == 404
    assert json.loads(api.get("/api/samples/0").text)["detail"]


def test_no_link_begins_at_the_root_so_that_the_page_works_below_a_path():
    for path in STATIC.iterdir():
        if path.suffix in (".html", ".js", ".css"):
            text = path.read_text("utf-8")
            rooted = re.findall(r"""(?:href|src)="/[^"]*|(?:fetch|request)\(["`]/[^"`]*""", text)
            assert rooted == [], path.name
