"""Bodies of requests: their bounds to the byte, and what becomes of one that ends early."""

import asyncio

import pytest
from starlette.requests import ClientDisconnect

from netchu.serve import uploads
from netchu.serve.settings import Limits


class Body:
    """A request whose body arrives in chunks, and then perhaps breaks off."""

    def __init__(self, *chunks, broken=False):
        self.chunks, self.broken = chunks, broken

    async def stream(self):
        for chunk in self.chunks:
            yield chunk
        if self.broken:
            raise ClientDisconnect


def received(body, limits=None, capacity=1000):
    """The body, or the status and reason with which it is refused; and the bytes still reserved."""
    budget = uploads.MemoryBudget(capacity, capacity)

    async def receive():
        with budget.reserve("a") as reservation:
            return await uploads.receive_body(body, reservation, limits or Limits())

    try:
        found = asyncio.run(receive())
    except uploads.HTTPException as refused:
        found = (refused.status_code, refused.detail)
    return found, budget.used.total()


def test_an_address_has_its_share_of_the_memory():
    budget = uploads.MemoryBudget(10, 6)
    with budget.reserve("a") as first, budget.reserve("a") as second, budget.reserve("b") as other:
        assert first.add(b"1234")
        assert not second.add(b"123")
        assert other.add(b"123456")
        assert not second.add(b"1")


def test_a_body_may_have_as_many_bytes_as_the_limit_and_no_more():
    limits = Limits(body_bytes=5 << 20)
    whole = bytes(4 << 20), bytes(1 << 20)
    body, used = received(Body(*whole), limits, capacity=9 << 20)
    assert (len(body), used) == (5 << 20, 0)
    refused, used = received(Body(*whole, b"1"), limits, capacity=9 << 20)
    assert refused == (413, "the body has more than 5 MB; send smaller or fewer images")
    assert used == 0


def test_an_endless_body_is_refused():
    class Endless:
        async def stream(self):
            while True:
                yield b"1234"

    assert received(Endless(), Limits(body_bytes=1000))[0][0] == 413


def test_bodies_may_fill_the_memory_and_no_more():
    budget = uploads.MemoryBudget(10, 10)
    with budget.reserve("a") as first, budget.reserve("a") as second:
        assert first.add(b"123456")
        assert not second.add(b"12345")
        assert second.add(b"1234")
        assert not first.add(b"1")
        assert budget.used.total() == 10
        first.release()
        assert second.add(b"123456")
    assert not budget.used
    assert received(Body(b"1234", b"5678", b"90"), capacity=10) == (b"1234567890", 0)
    (status, _), used = received(Body(b"1234", b"5678", b"901"), capacity=10)
    assert (status, used) == (429, 0)


def test_a_body_that_ends_early_is_400():
    refused, used = received(Body(b"begin", broken=True))
    assert refused == (400, "the request ended early; send it again")
    assert used == 0


@pytest.mark.parametrize("number", [2, 3])
def test_the_images_of_a_form_are_counted(number):
    # One file more than are permitted is parsed, so that it can be named.
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="images"; filename="{n}"\r\n\r\n{n}\r\n'
        for n in range(number)
    )

    body = (parts + "--x--\r\n").encode()
    found = asyncio.run(_images("multipart/form-data; boundary=x", body))
    if number == 2:
        assert [(image.name, image.content) for image in found] == [("0", b"0"), ("1", b"1")]
    else:
        assert found == (413, "the request has more than 2 images; send fewer at a time")


async def _images(content_type, body):
    try:
        images, _ = await uploads.parse_images(content_type, body, Limits(images=2))
    except uploads.HTTPException as refused:
        return refused.status_code, refused.detail
    return images


@pytest.mark.parametrize(("commas", "status"), [(4_997, None), (4_998, 422)])
def test_a_json_body_of_many_values_is_refused_before_it_is_parsed(commas, status):
    body = b'{"images": [' + b"1," * (commas - 1) + b"1, 1]}"
    try:
        uploads.parse_json_object(body)
        found = None
    except uploads.HTTPException as refused:
        found = refused.status_code
    assert found == status


def test_base64_may_have_any_white_space_but_no_other_characters():
    assert uploads.decode_base64(" aG\r\n\tV\fq\v ", "x") == b"hej"
    for text in ("aGVq\xa0", "aGVq\u2028", "aGVq\0", "aGV"):
        with pytest.raises(uploads.HTTPException, match="not base64"):
            uploads.decode_base64(text, "x")
