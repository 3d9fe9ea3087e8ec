"""Slow proof: the server survives attacks in one run while it answers an ordinary client.

Attackers have addresses of their own (127.0.0.x), as on a network. Each attack prints its requests,
its seconds, the memory of all processes of the server at most, and what the ordinary client saw.
"""

import base64
import contextlib
import http.client
import json
import random
import signal
import socket
import statistics
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import pytest
from test_connections import head

import hostile_images as hostile
from netchu.serve.samples import SHIPPED_SAMPLES
from server_process import serving

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(signal.__dict__.get("SIGPIPE") is None, reason="addresses of Linux"),
]

MAX_SECONDS = 2
"""Within which the ordinary client is answered."""
MAX_MEMORY = 1500
"""MB of all processes."""
FUZZED = 600
SAMPLES = [path.read_bytes() for path in sorted(SHIPPED_SAMPLES.iterdir())]


def form(*images):
    """The content type and the body of a form."""
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="images"; filename="x"\r\n\r\n' + image
        + b"\r\n" for image in images
    ]  # fmt: skip
    return "multipart/form-data; boundary=b", b"".join(parts) + b"--b--\r\n"


class Client:
    """A client with an address of its own."""

    def __init__(self, server, address, timeout=200):
        self.server, self.address, self.timeout = server, address, timeout

    def connect(self):
        place = self.server.hostname, self.server.port
        return socket.create_connection(place, self.timeout, (self.address, 0))

    def send(self, body=b"", kind="application/json", path="/api/read?line=1", method="POST"):
        """The status of the response."""
        connection = http.client.HTTPConnection(
            self.server.hostname, self.server.port, self.timeout, (self.address, 0)
        )
        with contextlib.closing(connection):
            connection.request(method, path, body, {"Content-Type": kind})
            response = connection.getresponse()
            response.read()
            return response.status


class Ordinary(threading.Thread):
    """Sends a line every quarter of a second; notes statuses, seconds and the server's memory."""

    def __init__(self, server, process):
        super().__init__(daemon=True)
        self.client, self.process = Client(server, "127.0.0.1", 30), process
        self.answers, self.memory, self.stopped = [], [], threading.Event()

    def run(self):
        from serving import memory_of_tree

        while not self.stopped.wait(0.25):
            begin = time.perf_counter()
            kind, body = form(random.choice(SAMPLES))
            try:
                status = self.client.send(body, kind)
            except OSError as error:
                status = repr(error)
            self.answers.append((status, time.perf_counter() - begin))
            self.memory.append(memory_of_tree(self.process.pid))

    def wait_for(self, answers):
        """Wait until there are so many answers."""
        until = time.monotonic() + 60
        while len(self.answers) < answers and time.monotonic() < until:
            time.sleep(0.05)


def together(count, attack):
    """Run `attack(number)` in `count` threads; return what they returned."""
    found = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(attack(n)), daemon=True)
        for n in range(count)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return found


def unread_responses(attacker):
    for _ in range(300):
        connection = attacker.connect()
        connection.sendall(head("/").replace(b"POST", b"GET") * 2)
        connection.close()
    return 600


def idle_connections(attacker):
    with contextlib.ExitStack() as stack:
        for _ in range(1_000):
            stack.enter_context(attacker.connect())
        time.sleep(12)
    return 1_000


def slow_heads_and_bodies(attacker):
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(attacker.connect()) for _ in range(300)]
        for number, each in enumerate(made):
            with contextlib.suppress(OSError):
                each.sendall(head("/api/read", "Content-Length: 999")[: None if number % 2 else 30])
        for _ in range(12):
            time.sleep(1)
            for each in made:
                with contextlib.suppress(OSError):
                    each.sendall(b"x")
    return 300


def large_bodies(attacker):
    kind, body = form(bytes(31 << 20))
    statuses = together(12, lambda number: attacker.send(body, kind))
    assert set(statuses) <= {422, 429}, statuses
    return len(statuses)


def endless_bodies(attacker):
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"

    def send(number):
        with contextlib.closing(attacker.connect()) as connection:
            connection.sendall(head("/api/read", "Transfer-Encoding: chunked"))
            for _ in range(10**4):
                try:
                    connection.sendall(chunk)
                except OSError:
                    return True
        return False

    assert all(together(20, send))
    return 20


def values_in_json(attacker):
    body = b'{"images":[' + b"[]," * (10 << 20) + b"1]}"
    spaces = json.dumps({"images": ["A " * (15 << 20)]}).encode()
    statuses = together(8, lambda number: attacker.send((body, spaces)[number % 2]))
    assert set(statuses) <= {422, 429}, statuses
    return len(statuses)


def hostile_images(attacker):
    images = [
        hostile.progressive_jpeg(20_000),
        hostile.huge_tile_tiff(),
        hostile.jpeg2000((29_000, 3_000), (1, 1)),
        hostile.webp_canvas(16_000, 16_000),
        hostile.tiff((10_000, 9_999), {278: 2**31, 259: 32_773}, b"\x81\xff" * 999),
    ]

    def send(number):
        kind, body = form(images[number % len(images)])
        return attacker.send(body, kind, path="/api/read")

    statuses = together(20, send)
    assert set(statuses) <= {200, 422, 429}, statuses
    return len(statuses)


def random_blobs(attacker):
    def send(number):
        return attacker.send(*form(*(hostile.random_blobs(n) for n in range(32)))[::-1],
                             path="/api/read")  # fmt: skip

    statuses = together(4, send)
    assert set(statuses) <= {200, 429, 503}, statuses
    return len(statuses)


def fuzzed_requests(attacker):
    """Requests with random changes of a valid one; nothing that is sent is a server error."""
    dice = random.Random(1)
    valid = [
        form(SAMPLES[0]),
        ("application/json", json.dumps({"images": [base64.b64encode(SAMPLES[0]).decode()]})),
        ("application/json", json.dumps({"image": base64.b64encode(SAMPLES[0]).decode(),
                                         "label": "x", "box": None})),
    ]  # fmt: skip
    paths = ("/api/read", "/api/read?line=1", "/api/corrections", "/api/corrections", "/")
    statuses = Counter()
    for number in range(FUZZED):
        kind, body = valid[number % 3]
        body = bytearray(body if isinstance(body, bytes) else body.encode())
        for _ in range(dice.randrange(1, 40)):
            body[dice.randrange(len(body))] = dice.randrange(256)
        cut = dice.choice([None, dice.randrange(len(body)), 0])
        kind = kind if dice.random() < 0.9 else dice.choice(["", "text/plain", "multipart/x"])
        statuses[attacker.send(bytes(body[:cut]), kind, dice.choice(paths))] += 1
    assert not [status for status in statuses if status >= 500], statuses
    print(dict(statuses))
    return FUZZED


def sent_in_vain(attacker, body, kind):
    with contextlib.suppress(OSError, http.client.HTTPException):
        attacker.send(body, kind, path="/api/read")


ATTACKS = [
    unread_responses, idle_connections, slow_heads_and_bodies, large_bodies,
    endless_bodies, values_in_json,
    hostile_images, random_blobs, fuzzed_requests,
]  # fmt: skip


def test_an_ordinary_client_is_answered_during_all_attacks(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend("benchmarks")
    with serving("--collect", str(tmp_path), "--grace", "5") as (address, process):
        server = urlsplit(address)
        ordinary = Ordinary(server, process)
        ordinary.start()
        ordinary.wait_for(10)
        slow, memory_of = [], {}
        for number, attack in enumerate(ATTACKS, start=2):
            first, begin = len(ordinary.answers), time.perf_counter()
            requests = attack(Client(server, f"127.0.0.{number}"))
            seconds = time.perf_counter() - begin
            ordinary.wait_for(len(ordinary.answers) + 4)
            answers, memory_of[attack] = ordinary.answers[first:], ordinary.memory[first:]
            statuses, slowest = Counter(status for status, _ in answers), max(s for _, s in answers)
            print(
                f"{attack.__name__}: {requests} requests, {seconds:.0f} s, "
                f"{max(memory_of[attack]):.0f} MB at most; ordinary client: {dict(statuses)}, "
                f"{slowest:.2f} s at most", flush=True,
            )  # fmt: skip
            slow += [(attack.__name__, *each) for each in answers
                     if each[0] != 200 or each[1] > MAX_SECONDS]  # fmt: skip
        assert not slow
        assert max(ordinary.memory) < MAX_MEMORY
        fuzzed = memory_of[fuzzed_requests]
        middle = statistics.median(fuzzed[len(fuzzed) // 2 :][:20])
        end = statistics.median(fuzzed[-20:])
        print(f"memory after half of the fuzzed requests {middle:.0f} MB, at the end {end:.0f} MB")
        assert end < 1.05 * middle + 10
        attacker = Client(server, "127.0.0.99")
        body = form(*(hostile.random_blobs(n) for n in range(32)))[::-1]
        threading.Thread(target=sent_in_vain, args=(attacker, *body), daemon=True).start()
        time.sleep(3)
        ordinary.stopped.set()
        ordinary.join()
        begin = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        print(f"ended {time.perf_counter() - begin:.1f} s after SIGTERM")
        assert time.perf_counter() - begin < 5 + 3
