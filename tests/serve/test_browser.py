"""The web page in Debian's Chromium, at two widths; screenshots are in tmp_path."""

import base64
import csv
import shutil
import signal

import cv2
import numpy as np
import pytest

from netchu import Reader
from netchu.imaging.images import encode
from netchu.inference.exported_model import SHIPPED_MODEL
from netchu.serve import samples
from server_process import serving

CHROMIUM = shutil.which("chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]

WAIT = 60_000
"""Timeout in milliseconds, long enough for a busy machine."""

DESKTOP = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", "color_scheme": "light"}
PHONE = {"viewport": {"width": 400, "height": 850}, "locale": "vi-VN", "color_scheme": "dark",
         "has_touch": True, "is_mobile": True}  # fmt: skip


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    return tmp_path_factory.mktemp("collected")


@pytest.fixture(scope="module")
def server(collected):
    with serving("--model", f"again={SHIPPED_MODEL}", "--collect", str(collected)) as (address, _):
        yield address


@pytest.fixture
def opened(browser, server):
    """`opened(**context)` is the page; script errors and requests to other hosts fail the test."""
    contexts, errors = [], []

    def show(address=server, **context):
        contexts.append(browser.new_context(**(context or DESKTOP)))
        page = contexts[-1].new_page()
        page.set_default_timeout(WAIT)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: request.url.startswith((address, "blob:"))
                or errors.append(request.url))  # fmt: skip
        page.goto(address)
        page.wait_for_selector("#version:not(:empty)")
        return page

    yield show
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture(scope="module")
def lines():
    """Three images of lines and their texts by `Reader`."""
    images = [path.read_bytes() for path in sorted(samples.SHIPPED_SAMPLES.iterdir())[:3]]
    return [(image, reading.text) for image, reading in zip(
        images, Reader().read_many(images), strict=True
    )]  # fmt: skip


def predict(page, images=1, models=1):
    page.click("#predict")
    page.wait_for_function(
        "wanted => document.querySelectorAll('.reading').length === wanted"
        " && !document.getElementById('predict').disabled", arg=images * models,
    )  # fmt: skip


def texts(page):
    return page.locator(".hidden-text").all_text_contents()


def upload(page, *files):
    page.set_input_files("#files", [
        {"name": name, "mimeType": "image/png", "buffer": content} for name, content in files
    ])  # fmt: skip


def written_page():
    photo_HW = np.full((420, 900), 235, np.uint8)
    for place, text in enumerate(("hoa binh", "To 3 Lang", "quan 1")):
        cv2.putText(photo_HW, text, (60, 110 + 115 * place), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 2,
                    30, 3)  # fmt: skip
    return encode(photo_HW)


@pytest.mark.parametrize("device", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_get_images_and_predict(opened, device, tmp_path):
    page = opened(**device)
    page.screenshot(path=tmp_path / "1-empty.png", full_page=True)
    page.click("#draw")
    page.wait_for_selector("#items li:nth-child(3) img")
    predict(page, images=3)
    assert len(texts(page)) == 3
    assert all(texts(page))
    vietnamese = device is PHONE
    assert page.locator("html").get_attribute("lang") == ("vi" if vietnamese else "en")
    assert page.inner_text("#predict") == ("Đọc" if vietnamese else "Predict")
    assert ("Đã đọc 3 ảnh" if vietnamese else "Read 3 images in") in page.inner_text("#status")
    assert " ms" in page.locator(".facts").first.inner_text()
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0
    page.screenshot(path=tmp_path / "2-read.png", full_page=True)
    upload(page, ("page.png", written_page()))  # not a real hand, so some letters are uncertain
    predict(page)
    doubtful = page.locator(".text button").first
    doubtful.focus()
    assert "%" in doubtful.get_attribute("aria-label")
    assert "%" in page.inner_text("#tip")
    page.screenshot(path=tmp_path / "3-doubt.png", full_page=True)
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_the_language_is_remembered(opened):
    page = opened()
    page.click("[data-language=vi]")
    assert page.inner_text("#draw") == "Lấy ảnh mẫu"
    page.reload()
    assert page.inner_text("#draw") == "Lấy ảnh mẫu"


def test_upload_paste_and_drop(opened, lines):
    page = opened()
    (first, text), (second, other), (third, last) = lines
    upload(page, ("1.jpg", first), ("2.jpg", second))
    predict(page, images=2)
    assert texts(page) == [text, other]
    content = base64.b64encode(third).decode()
    for event, carrier in (("paste", "clipboardData"), ("drop", "dataTransfer")):
        page.evaluate(
            """([name, carrier, content]) => {
              const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
              const held = new DataTransfer();
              held.items.add(new File([bytes], name + ".png", {type: "image/png"}));
              const event = new Event(name, {bubbles: true, cancelable: true});
              Object.defineProperty(event, carrier, {value: held});
              document.body.dispatchEvent(event);
            }""",
            [event, carrier, content],
        )
        assert page.inner_text("figcaption") == f"{event}.png"
        predict(page)
        assert texts(page) == [last]


def test_write_undo_and_clear(opened, tmp_path):
    page = opened()
    page.click("#write")
    predict_without = page.locator("#predict")
    predict_without.click()
    assert page.inner_text("#alert").startswith("The sheet is empty")
    place = page.locator("#canvas").bounding_box()
    for middle in (90, 170, 250):
        round_about = [
            (place["x"] + middle + 30 * np.cos(turn), place["y"] + 95 + 38 * np.sin(turn))
            for turn in np.linspace(-1.6, 4.7, 13).tolist()
        ]
        page.mouse.move(*round_about[0])
        page.mouse.down()
        for x, y in round_about[1:]:
            page.mouse.move(x, y)
        page.mouse.up()
    predict(page)
    page.screenshot(path=tmp_path / "write.png", full_page=True)
    assert len(texts(page)) == 1
    ink = """() => {
      const sheet = document.querySelector("#canvas");
      const pixels = sheet.getContext("2d").getImageData(0, 0, sheet.width, sheet.height).data;
      return pixels.reduce((sum, part) => sum + part, 0);
    }"""
    before = page.evaluate(ink)
    page.click("#undo")
    assert 0 < page.evaluate(ink) < before
    page.click("#clear")
    assert page.evaluate(ink) == 0
    page.click("#leave")
    assert page.locator("#sources").is_visible()


def form():
    """Two rows of two fields each."""
    photo_HW = np.full((300, 1200), 235, np.uint8)
    for x, y, text in ((60, 100, "hoa binh"), (800, 100, "quan 1"), (60, 220, "To 3 Lang"),
                       (800, 220, "an giang")):  # fmt: skip
        cv2.putText(photo_HW, text, (x, y), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 2, 30, 3)
    return photo_HW


def boxes_in_photo(page):
    """Left, top, right, bottom of each box on the picture, in pixels of the photo."""
    return page.evaluate("""() => [...document.querySelectorAll('.frame rect[data-line]')].map(r =>
      ['x', 'y', 'width', 'height'].map(name => Number(r.getAttribute(name))))
      .map(([x, y, w, h]) => [x, y, x + w, y + h])""")


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("inverted", [False, True])
def test_fields_are_shown_however_the_form_was_photographed(opened, tmp_path, turns, inverted):
    upright_HW = form()
    expected = [(line.text, line.box) for line in Reader().read(upright_HW).lines]
    assert len(expected) == 4
    photo_HW = np.ascontiguousarray(np.rot90(255 - upright_HW if inverted else upright_HW, turns))
    page = opened()
    upload(page, ("form.png", encode(photo_HW)))
    predict(page)
    page.screenshot(path=tmp_path / f"form-{turns}-{inverted}.png", full_page=True)
    assert texts(page) == [text for text, _ in expected]
    for shown, (_, (left, top, right, bottom)) in zip(boxes_in_photo(page), expected, strict=True):
        in_page = np.zeros(upright_HW.shape, np.uint8)
        in_page[top:bottom, left:right] = 1
        rows, columns = np.nonzero(np.rot90(in_page, turns))
        wanted = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        assert np.abs(np.subtract(shown, wanted)).max() <= 4
    assert page.locator(".unread").count() == 0


def test_ink_that_was_not_read_is_shown(opened, tmp_path):
    photo_HW = cv2.imdecode(np.frombuffer(written_page(), np.uint8), cv2.IMREAD_GRAYSCALE)
    photo_HW = cv2.copyMakeBorder(photo_HW, 0, 0, 0, 500, cv2.BORDER_CONSTANT, value=235)
    cv2.putText(photo_HW, "R", (950, 350), cv2.FONT_HERSHEY_SIMPLEX, 12, 30, 20)
    places = len(Reader().read(photo_HW).unread)
    assert places > 1
    page = opened()
    upload(page, ("page.png", encode(photo_HW)))
    predict(page)
    page.screenshot(path=tmp_path / "unread.png", full_page=True)
    said = f"Ink in {places} places was not read. Crop it and read it alone."
    assert page.inner_text("p.unread") == said
    assert page.locator(".frame rect.unread").count() == places


def test_lines_and_their_boxes_are_highlighted_together(opened, tmp_path):
    page = opened()
    upload(page, ("page.png", written_page()))
    predict(page)
    assert page.locator(".line").count() == page.locator(".frame rect").count() == 3
    page.locator(".line").nth(1).hover()
    assert page.locator(".frame rect.lit").get_attribute("data-line") == "1"
    page.locator(".frame rect").nth(2).hover()
    assert page.locator(".line.lit").get_attribute("data-line") == "2"
    page.screenshot(path=tmp_path / "lines.png", full_page=True)


def test_two_models_side_by_side_and_copy(opened, lines, tmp_path):
    page = opened()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.select_option("#other", "again")
    upload(page, ("1.jpg", lines[0][0]))
    predict(page, models=2)
    assert page.locator(".reading h2").all_inner_texts() == ["Read by netchu", "Read by again"]
    page.screenshot(path=tmp_path / "two.png", full_page=True)
    page.locator(".reading").first.get_by_role("button", name="Copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == lines[0][1]
    assert page.inner_text("#status") == "Copied"


def test_a_line_is_corrected_by_keyboard(opened, lines, collected, tmp_path):
    page = opened()
    upload(page, ("1.jpg", lines[0][0]))
    predict(page)
    page.get_by_role("button", name="Correct").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Control+A")
    page.keyboard.type('<b>Hà Nội</b>, "5"')
    page.screenshot(path=tmp_path / "correct.png", full_page=True)
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#status")).to_contain_text("Saved", timeout=WAIT)
    assert page.evaluate("document.activeElement.textContent") == "Correct"
    with (collected / "corrections.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[-1]["label"] == '<b>Hà Nội</b>, "5"'
    assert (collected / rows[-1]["image"]).is_file()


def test_a_file_that_is_not_an_image(opened, lines):
    page = opened()
    upload(page, ("notes.png", b"no image"), ("1.jpg", lines[0][0]))
    predict(page, images=2)
    assert page.inner_text(".failed").startswith("This is no image")
    assert page.inner_text("#status").endswith("1 could not be read")
    assert texts(page) == [lines[0][1]]


def test_a_stopped_server_is_reported_until_it_is_back(opened, lines, tmp_path):
    with serving() as (address, process):
        page = opened(address)
        assert page.get_by_role("button", name="Correct").count() == 0
        upload(page, ("1.jpg", lines[0][0]))
        process.send_signal(signal.SIGKILL)
        process.wait()
    page.click("#predict")
    page.wait_for_selector("#alert:not(:empty)")
    assert page.inner_text("#alert").startswith("The server does not answer")
    page.screenshot(path=tmp_path / "gone.png", full_page=True)
    port = address.rpartition(":")[2]
    with serving("--port", port):
        predict(page)
        assert texts(page) == [lines[0][1]]
        assert page.inner_text("#alert") == ""


def test_the_page_asks_for_the_api_key(opened, browser):
    with serving(NETCHU_API_KEY="geheim") as (address, _):
        page = browser.new_context(**DESKTOP).new_page()
        page.goto(address)
        page.wait_for_selector("#lock:not([hidden])")
        page.fill("#key", "geheim")
        page.keyboard.press("Enter")
        page.wait_for_selector("#version:not(:empty)")
        page.click("#draw")
        page.wait_for_selector("#items li:nth-child(3) img")
        page.context.close()


def test_every_control_is_reachable_by_keyboard(opened):
    page = opened()
    names = []
    for _ in range(8):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.textContent.trim().slice(0, 14)"))
    assert names[:7] == ["To the Predict", "Tiếng Việt", "English", "Get images",
                         "Choose a photo", "Write", "Predict"]  # fmt: skip
    unnamed = page.evaluate("""() => [...document.querySelectorAll('button, input, select')]
      .filter(e => e.checkVisibility()
                   && !(e.textContent.trim() || e.ariaLabel || e.labels?.length))
      .map(e => e.id)""")
    assert unnamed == []


def test_the_api_documentation_page(opened, tmp_path):
    page = opened()
    page.click("footer a")
    page.wait_for_selector("details:nth-child(4)")
    page.click("details:has-text('/api/read') summary")
    page.screenshot(path=tmp_path / "docs.png", full_page=True)
    assert "multipart/form-data" in page.inner_text("#routes")
