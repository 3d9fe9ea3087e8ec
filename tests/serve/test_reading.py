"""`POST /api/read`, and what protects it."""

import asyncio
import base64
import json
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bar_model import bars
from netchu import Reader
from netchu.imaging.images import encode
from netchu.inference import serializers
from netchu.serve import uploads
from netchu.serve.settings import Limits

AH, BAH = encode(bars("ah")), encode(bars("bah"))


def post(client, *images, query="model=bars&line=true", **more):
    files = [("images", (f"{n}.png", image)) for n, image in enumerate(images, start=1)]
    return client.post(f"/api/read?{query}", files=files, **more)


def texts(answer):
    return [reading["text"] for reading in answer.json()["readings"]]


@pytest.fixture
def blocked(monkeypatch):
    """Readers wait until the event is set."""
    free = threading.Event()
    honest = Reader.read_many

    def wait(self, *arguments, **options):
        free.wait(20)
        return honest(self, *arguments, **options)

    monkeypatch.setattr(Reader, "read_many", wait)
    yield free
    free.set()


def test_one_image_and_many_in_their_order(client):
    asking = client()
    assert texts(post(asking, AH)) == ["ah"]
    answer = post(asking, BAH, AH, BAH)
    assert texts(answer) == ["bah", "ah", "bah"]
    told = answer.json()
    assert told["model"] == "bars"
    assert told["milliseconds"] > 0
    assert [reading["path"] for reading in told["readings"]] == ["1.png", "2.png", "3.png"]


def test_a_reading_is_what_netchu_read_json_writes(client, bars_folder):
    wanted = serializers.json_lines([("1.png", Reader(bars_folder).read(BAH, line=True))])
    (reading,) = post(client(), BAH).json()["readings"]
    assert reading == json.loads(next(wanted))


def test_base64_in_json(client):
    asking, coded = client(), [base64.b64encode(image).decode() for image in (AH, BAH)]
    for images, wanted in ((coded, ["ah", "bah"]), (coded[0], ["ah"])):
        answer = asking.post("/api/read?model=bars&line=1", json={"images": images})
        assert texts(answer) == wanted


def test_the_shipped_model_is_the_first_choice(client):
    asking = client()
    assert post(asking, AH, query="").json()["model"] == "netchu"
    told = asking.get("/api/models").json()
    assert [model["name"] for model in told["models"]] == ["netchu", "bars"]
    assert told["default"] == "netchu"
    assert told["collecting"] is False


def test_a_bad_image_stops_nothing_and_only_bad_ones_are_an_error(client):
    asking = client()
    answer = post(asking, AH, b"no image", BAH)
    assert answer.status_code == 200
    assert texts(answer) == ["ah", None, "bah"]
    assert "not an image" in answer.json()["readings"][1]["error"]
    assert post(asking, b"no image").status_code == 422


@pytest.mark.parametrize(
    ("query", "request_", "status", "words"),
    [
        ("model=other", {"files": {"images": AH}}, 404, "choose one of netchu, bars"),
        ("line=maybe", {"files": {"images": AH}}, 422, "line"),
        ("", {"files": {"pictures": AH}}, 422, "no image came"),
        ("", {"data": {"images": "text"}, "files": {"x": AH}}, 422, "send files"),
        ("", {"content": b"abc"}, 415, "multipart/form-data"),
        ("", {"content": b"", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
        ("", {"content": b"junk", "headers": {"content-type": "multipart/form-data; boundary=b"}},
         400, "multipart"),
        ("", {"content": b"{", "headers": {"content-type": "application/json"}}, 400, "no JSON"),
        ("", {"content": b"[" * 99999, "headers": {"content-type": "application/json"}}, 400,
         "no JSON"),
        ("", {"json": [1]}, 422, "no JSON object"),
        ("", {"json": {"images": 3}}, 422, "'images' is missing"),
        ("", {"json": {"images": [3]}}, 422, "images[0]"),
        ("", {"json": {"images": ["?"]}}, 422, "not base64"),
        ("", {"json": {"images": []}}, 422, "no image came"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_what_is_wrong(client, query, request_, status, words):
    answer = client().post(f"/api/read?{query}", **request_)
    assert answer.status_code == status
    assert words in answer.text


def test_too_many_and_too_large(client):
    asking = client(limits=Limits(images=2, body=5000))
    assert post(asking, AH, AH).status_code == 200
    for answer in (post(asking, AH, AH, AH), post(asking, bytes(6000))):
        assert answer.status_code == 413
    coded = base64.b64encode(AH).decode()
    answer = asking.post("/api/read", json={"images": [coded] * 3})
    assert (answer.status_code, "more than 2 images" in answer.text) == (413, True)
    assert texts(post(asking, AH)) == ["ah"]  # what they held is given back


def test_a_full_house_says_when_to_come_again(client, blocked):
    asking = client(limits=Limits(places=2))
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(post(asking, AH, BAH)))
    waiting.start()
    until = time.monotonic() + 10
    while asking.app.state.queue.held < 2 and time.monotonic() < until:
        time.sleep(0.01)
    refused = post(asking, AH)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    blocked.set()
    waiting.join()
    assert texts(answers[0]) == ["ah", "bah"]
    assert texts(post(asking, AH)) == ["ah"]


def test_bodies_of_all_requests_together_are_bounded(client):
    asking = client(limits=Limits(held=100))
    answer = post(asking, AH)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert asking.app.state.purse.spent == 0


def test_a_reading_that_takes_too_long_is_given_up(client, blocked):
    answer = post(client(limits=Limits(answer=0.1)), AH)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    blocked.set()


def test_a_body_that_does_not_come_is_given_up():
    class Slow:
        async def stream(self):
            yield b"begin"
            await asyncio.sleep(60)

    async def wait():
        with uploads.Purse(1000).open() as holding:
            await uploads.receive(Slow(), holding, Limits(upload=0.05))

    with pytest.raises(uploads.HTTPException) as refused:
        asyncio.run(wait())
    assert refused.value.status_code == 408


def test_a_breakdown_is_answered_and_hits_no_neighbour(client, monkeypatch):
    asking, honest = client(), Reader.read_many

    def breaks(self, sources, **options):
        if BAH in sources:
            raise MemoryError
        return honest(self, sources, **options)

    monkeypatch.setattr(Reader, "read_many", breaks)
    assert post(asking, AH, BAH).status_code == 500
    assert texts(post(asking, AH)) == ["ah"]


def test_names_of_files_are_words_and_nothing_more(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["../../etc/passwd", "/etc/passwd", "<script>alert(1)</script>.png", "ạ\u202e.png"]
    answer = client().post("/api/read?model=bars", files=[("images", (name, AH)) for name in names])
    assert [reading["path"] for reading in answer.json()["readings"]][:2] == names[:2]
    assert list(tmp_path.iterdir()) == []
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "charset", ["utf-7", "unicode_escape", "rot13", "hex", "idna", "punycode", "undefined", "nope"]
)
def test_a_name_in_any_charset_breaks_nothing(client, charset):
    body = (
        b'--b\r\nContent-Disposition: form-data; name="images"; filename="+2AA-\\ud800\xff.png"'
        b"\r\n\r\n" + AH + b"\r\n--b--\r\n"
    )
    kind = f"multipart/form-data; boundary=b; charset={charset}"
    answer = client().post("/api/read", content=body, headers={"content-type": kind})
    assert answer.status_code in (200, 400, 422)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    body=st.binary(max_size=400)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.just("aGVq"),
        lambda inner: st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["images", "x"]), inner, max_size=2),
        max_leaves=6,
    ).map(lambda told: json.dumps(told).encode())
    | st.builds(
        lambda name, head, content: b'--b\r\nContent-Disposition: form-data; name="' + name
        + b'"; filename="' + name + b'"\r\n' + head + b"\r\n\r\n" + content + b"\r\n--b--\r\n",
        st.sampled_from([b"images", b"", b'"', b"\xff\x00"]), st.binary(max_size=20),
        st.binary(max_size=60) | st.just(AH) | st.just(AH[:80]),
    ),
    kind=st.sampled_from(
        ["application/json", "multipart/form-data; boundary=b", "multipart/form-data; charset=x",
         "text/plain", ""]
    ),
)  # fmt: skip
def test_no_body_breaks_the_server(one_client, body, kind):
    answer = one_client.post(
        "/api/read?model=bars", content=body, headers={"content-type": kind} if kind else {}
    )
    assert answer.status_code in (200, 400, 413, 415, 422)
    assert one_client.app.state.purse.spent == 0


@pytest.fixture
def one_client(client):
    return client()
