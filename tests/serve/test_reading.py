"""`POST /api/read` and its limits."""

import asyncio
import base64
import io
import json
import threading
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bar_model import bars
from netchu import Reader
from netchu.imaging.images import encode
from netchu.inference.serializers import to_json_lines
from netchu.serve import reading_route, uploads
from netchu.serve.settings import Limits

AH, BAH = encode(bars("ah")), encode(bars("bah"))
CODED = base64.b64encode(AH).decode()


def post(client, *images, query="model=bars&line=true", **more):
    files = [("images", (f"{n}.png", image)) for n, image in enumerate(images, start=1)]
    return client.post(f"/api/read?{query}", files=files, **more)


def texts(answer):
    return [reading["text"] for reading in answer.json()["readings"]]


@pytest.fixture
def blocked(monkeypatch):
    """Readers wait until the event is set."""
    free = threading.Event()
    original = Reader.read_many

    def wait(self, *arguments, **options):
        free.wait(20)
        return original(self, *arguments, **options)

    monkeypatch.setattr(Reader, "read_many", wait)
    yield free
    free.set()


def test_readings_are_in_the_order_of_the_images(client):
    api = client()
    assert texts(post(api, AH)) == ["ah"]
    answer = post(api, BAH, AH, BAH)
    assert texts(answer) == ["bah", "ah", "bah"]
    content = answer.json()
    assert content["model"] == "bars"
    assert content["milliseconds"] > 0
    assert [reading["path"] for reading in content["readings"]] == ["1.png", "2.png", "3.png"]


def test_readings_equal_those_of_netchu_read_json(client, bars_folder):
    wanted = to_json_lines([("1.png", Reader(bars_folder).read(BAH, line=True))])
    (reading,) = post(client(), BAH).json()["readings"]
    assert reading == json.loads(next(wanted))


def test_a_large_body_is_parsed_by_a_worker(client, monkeypatch):
    monkeypatch.setattr(reading_route, "INLINE_BYTES", 100)
    api = client()
    assert texts(post(api, AH, BAH)) == ["ah", "bah"]
    answer = api.post("/api/read", content=bytes(200), headers={"content-type": "text/plain"})
    assert (answer.status_code, "send multipart" in answer.text) == (415, True)
    body = json.dumps({"images": [CODED], "model": "bars", "line": True})
    answer = api.post("/api/read", content=body, headers={"content-type": "application/json"})
    assert texts(answer) == ["ah"]


def test_images_may_be_base64_in_json(client):
    api, coded = client(), [base64.b64encode(image).decode() for image in (AH, BAH)]
    for images, wanted in ((coded, ["ah", "bah"]), (coded[0], ["ah"])):
        answer = api.post("/api/read?model=bars&line=1", json={"images": images})
        assert texts(answer) == wanted


def test_base64_may_have_line_breaks_and_the_beginning_of_a_data_url(client):
    coded = base64.encodebytes(AH).decode()
    assert "\n" in coded
    for image in (coded, f"data:image/png;base64,{coded}", f" DATA:;base64,{coded.strip()}"):
        answer = client().post("/api/read?model=bars&line=1", json={"images": [image]})
        assert texts(answer) == ["ah"]


@pytest.mark.parametrize("line", ["true", "1", True])
def test_model_and_line_may_be_fields_of_the_body(client, line):
    api, coded = client(), base64.b64encode(AH).decode()
    fields = {"model": "bars", "line": line}
    answer = api.post("/api/read", files={"images": AH}, data={**fields, "line": str(line)})
    assert (texts(answer), answer.json()["model"]) == (["ah"], "bars")
    answer = api.post("/api/read", json={"images": coded, **fields})
    assert (texts(answer), answer.json()["model"]) == (["ah"], "bars")
    width = texts(api.post("/api/read?line=1", json={"images": coded, "model": "bars"}))
    assert width == ["ah"]


def test_every_page_of_a_file_has_a_reading(client):
    pages = [Image.fromarray(bars(text)) for text in ("ah", "bah", "hh")]
    scan = io.BytesIO()
    pages[0].save(scan, "TIFF", save_all=True, append_images=pages[1:])
    readings = post(client(), scan.getvalue(), AH).json()["readings"]
    assert [reading["text"] for reading in readings] == ["ah", "bah", "hh", "ah"]
    names = [reading["path"] for reading in readings]
    assert [name.partition("#")[2] for name in names] == ["1", "2", "3", ""]
    few = client(limits=Limits(images=2))
    assert post(few, scan.getvalue()).status_code == 413


def test_the_shipped_model_is_the_default(client):
    api = client()
    assert post(api, AH, query="").json()["model"] == "netchu"
    content = api.get("/api/models").json()
    assert [model["name"] for model in content["models"]] == ["netchu", "bars"]
    assert content["default"] == "netchu"
    assert content["collecting"] is False


def test_a_bad_image_does_not_stop_others_and_only_bad_ones_are_422(client):
    api = client()
    answer = post(api, AH, b"no image", BAH)
    assert answer.status_code == 200
    assert texts(answer) == ["ah", None, "bah"]
    assert "not an image" in answer.json()["readings"][1]["error"]
    assert post(api, b"no image").status_code == 422


@pytest.mark.parametrize(
    ("query", "request_", "status", "words"),
    [
        ("model=other", {"files": {"images": AH}}, 404, "choose one of netchu, bars"),
        ("line=maybe", {"files": {"images": AH}}, 422, "line"),
        ("", {"files": {"pictures": AH}}, 422, "no image in the request"),
        ("", {"data": {"images": "text"}, "files": {"x": AH}}, 422, "send files"),
        ("", {"content": b"abc"}, 415, "multipart/form-data"),
        ("", {"content": b"", "headers": {"content-type": "multipart/form-data"}}, 400, "boundary"),
        ("", {"content": b"junk", "headers": {"content-type": "multipart/form-data; boundary=b"}},
         400, "multipart"),
        ("", {"content": b"{", "headers": {"content-type": "application/json"}}, 400, "not JSON"),
        ("", {"content": b"[" * 4999, "headers": {"content-type": "application/json"}}, 400,
         "not JSON"),
        ("model=bars", {"json": {"images": CODED, "model": "bars"}}, 422, "send it once"),
        ("line=1", {"files": {"images": AH}, "data": {"line": "1"}}, 422, "send it once"),
        ("", {"json": {"images": CODED, "model": "other"}}, 404, "choose one of netchu, bars"),
        ("", {"json": {"images": CODED, "model": 3}}, 422, "'model' is not a name"),
        ("", {"files": {"images": AH}, "data": {"line": "maybe"}}, 422, "neither true nor false"),
        ("", {"json": [1]}, 422, "not a JSON object"),
        ("", {"json": {"images": 3}}, 422, "'images' must be"),
        ("", {"json": {"images": [3]}}, 422, "images[0]"),
        ("", {"json": {"images": ["?"]}}, 422, "not base64"),
        ("", {"json": {"images": []}}, 422, "no image in the request"),
    ],
)  # fmt: skip
def test_invalid_requests_are_refused_with_a_reason(client, query, request_, status, words):
    answer = client().post(f"/api/read?{query}", **request_)
    assert answer.status_code == status
    assert words in answer.text


def test_too_many_or_too_large_images_are_413(client):
    api = client(limits=Limits(images=2, body_bytes=5000))
    assert post(api, AH, AH).status_code == 200
    for answer in (post(api, AH, AH, AH), post(api, bytes(6000))):
        assert answer.status_code == 413
    coded = base64.b64encode(AH).decode()
    answer = api.post("/api/read", json={"images": [coded] * 3})
    assert (answer.status_code, "more than 2 images" in answer.text) == (413, True)
    assert texts(post(api, AH)) == ["ah"]  # their memory is released


def test_a_full_queue_is_429_with_retry_after(client, blocked):
    api = client(limits=Limits(pending_images=2))
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(post(api, AH, BAH)))
    waiting.start()
    until = time.monotonic() + 10
    while api.app.state.queue.pending < 2 and time.monotonic() < until:
        time.sleep(0.01)
    refused = post(api, AH)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    blocked.set()
    waiting.join()
    assert texts(answers[0]) == ["ah", "bah"]
    while api.app.state.queue.pending and time.monotonic() < until + 10:
        time.sleep(0.01)
    assert texts(post(api, AH)) == ["ah"]


def test_memory_of_all_bodies_is_bounded(client):
    api = client(limits=Limits(total_body_bytes=100))
    answer = post(api, AH)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert api.app.state.memory_budget.used.total() == 0


def test_a_slow_reading_is_503(client, blocked):
    answer = post(client(limits=Limits(read_seconds=0.1)), AH)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    blocked.set()


def test_a_body_that_does_not_arrive_is_408():
    class Slow:
        async def stream(self):
            yield b"begin"
            await asyncio.sleep(60)

    async def wait():
        with uploads.MemoryBudget(1000, 1000).reserve("a") as reservation:
            await uploads.receive_body(Slow(), reservation, Limits(upload_seconds=0.05))

    with pytest.raises(uploads.HTTPException) as refused:
        asyncio.run(wait())
    assert refused.value.status_code == 408


def test_an_exception_is_500_and_does_not_affect_other_requests(client, monkeypatch):
    api, original = client(), Reader.read_many

    def breaks(self, sources, **options):
        if BAH in sources:
            raise MemoryError
        return original(self, sources, **options)

    monkeypatch.setattr(Reader, "read_many", breaks)
    assert post(api, AH, BAH).status_code == 500
    assert texts(post(api, AH)) == ["ah"]


def test_file_names_are_never_used_as_paths(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["../../etc/passwd", "/etc/passwd", "<script>alert(1)</script>.png", "ạ\u202e.png"]
    answer = client().post("/api/read?model=bars", files=[("images", (name, AH)) for name in names])
    assert [reading["path"] for reading in answer.json()["readings"]][:2] == names[:2]
    assert list(tmp_path.iterdir()) == []
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "charset", ["utf-7", "unicode_escape", "rot13", "hex", "idna", "punycode", "undefined", "nope"]
)
def test_a_file_name_in_any_charset_is_not_a_server_error(client, charset):
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
    ).map(lambda content: json.dumps(content).encode())
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
def test_no_body_is_a_server_error(one_client, body, kind):
    answer = one_client.post(
        "/api/read?model=bars", content=body, headers={"content-type": kind} if kind else {}
    )
    assert answer.status_code in (200, 400, 413, 415, 422)
    assert one_client.app.state.memory_budget.used.total() == 0


@pytest.fixture
def one_client(client):
    return client()
