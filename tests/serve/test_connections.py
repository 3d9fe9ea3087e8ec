"""Connections are bounded in number and time, and closed where a body has not arrived."""

import asyncio
import contextlib
import socket
import threading
import time

import pytest
import uvicorn

from netchu.serve.addresses import address_key
from netchu.serve.connections import bounded_protocol
from netchu.serve.settings import Limits
from netchu.serve.unread_bodies import UnreadBodyMiddleware

QUICK = Limits(
    connections=12, connections_per_address=5, head_seconds=0.4, send_seconds=0.4, drop_seconds=0.4
)


async def application(scope, receive, send):
    """Answers at once, after the body (/body), never (/never), or with very much (/large)."""
    if scope["type"] != "http":
        return
    status, content = 200, b"ok"
    if scope["path"] == "/body":
        while (await receive()).get("more_body"):
            pass
    if scope["path"] == "/never":
        await asyncio.sleep(60)
    if scope["path"] == "/large":
        content = bytes(50 << 20)
    if scope["path"] == "/408":
        status = 408
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-length", str(len(content)).encode())]})  # fmt: skip
    await send({"type": "http.response.body", "body": content})


@pytest.fixture(scope="module")
def port():
    config = uvicorn.Config(
        UnreadBodyMiddleware(application, QUICK), log_level="critical", lifespan="off",
        http=bounded_protocol(QUICK), ws="none", timeout_graceful_shutdown=0,
    )  # fmt: skip
    server = uvicorn.Server(config)
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = server.force_exit = True
    thread.join()


@pytest.fixture
def connect(port):
    """`connect(address)` is a connection from an address of this machine."""
    with contextlib.ExitStack() as stack:

        def start(address="127.0.0.1"):
            made = socket.create_connection(("127.0.0.1", port), 10, (address, 0))
            return stack.enter_context(made)

        yield start
    time.sleep(0.05)  # the server notices that they are closed


def head(path, *headers):
    lines = (f"POST {path} HTTP/1.1", "Host: localhost", *headers, "", "")
    return "\r\n".join(lines).encode()


def response(connection):
    """The head of the response, or None if the connection was closed or reset."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while not received.endswith(b"\r\n\r\nok"):
            if not (part := connection.recv(9999)):
                break
            received += part
    return received.decode().lower() or None


def is_closed(connection, within):
    connection.settimeout(within)
    try:
        return connection.recv(9) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@pytest.mark.parametrize("sent", [b"", b"GET / HTT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_head_that_does_not_arrive_closes_the_connection(connect, sent):
    connection = connect()
    connection.sendall(sent)
    begin = time.monotonic()
    assert is_closed(connection, 3)
    assert time.monotonic() - begin > 0.2


def test_each_byte_does_not_give_the_head_more_time(connect):
    connection, begin = connect(), time.monotonic()
    connection.sendall(head("/"))
    assert "200 ok" in response(connection)
    with contextlib.suppress(ConnectionError):
        for _ in range(40):
            connection.sendall(b"G")
            time.sleep(0.05)
    assert time.monotonic() - begin < 1.5


def test_idle_connections_make_room_for_others_of_the_same_address(connect):
    idle = [connect() for _ in range(20)]
    connection = connect()
    connection.sendall(head("/"))
    assert "200 ok" in response(connection)
    assert all(is_closed(each, 3) for each in idle[:16])


def test_unfinished_bodies_make_room_but_running_requests_do_not(connect):
    running = [connect() for _ in range(3)]
    for each in running:
        each.sendall(head("/never"))
    slow = [connect() for _ in range(2)]
    for each in slow:
        each.sendall(head("/body", "Content-Length: 9"))
    time.sleep(0.1)
    ordinary = connect()
    ordinary.sendall(head("/"))
    assert "200 ok" in response(ordinary)
    assert is_closed(slow[0], 3)
    assert not is_closed(slow[1], 0.05)
    for _ in range(2):
        running.append(connect())
        running[-1].sendall(head("/never"))
        time.sleep(0.1)
    assert is_closed(connect(), 3)  # all five have running requests
    assert not any(is_closed(each, 0.05) for each in running)


def test_the_address_with_most_connections_makes_room(connect):
    ordinary = connect("127.0.0.9")
    ordinary.sendall(head("/body", "Content-Length: 2") + b"a")
    time.sleep(0.05)
    attackers = [connect(f"127.0.0.{2 + n % 3}") for n in range(12)]
    other = connect("127.0.0.8")
    other.sendall(head("/"))
    assert "200 ok" in response(other)
    ordinary.sendall(b"b")
    assert "200 ok" in response(ordinary)
    assert any(is_closed(each, 0.05) for each in attackers)


def test_a_client_that_does_not_read_is_disconnected(connect):
    connection = connect()
    connection.sendall(head("/large"))
    time.sleep(1.5)
    size = 0
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(1 << 20):
            size += len(part)
    assert size < 50 << 20


@pytest.mark.parametrize(("path", "length"), [("/", 100), ("/408", 100), ("/", 64 << 20)])
def test_a_connection_whose_body_does_not_arrive_is_closed_after_the_response(
    connect, path, length
):
    connection = connect()
    connection.sendall(head(path, f"Content-Length: {length}") + b"begin")
    found = response(connection)
    assert "connection: close" in found
    assert is_closed(connection, 3)


def test_a_body_that_arrives_is_dropped_and_the_connection_is_kept(connect):
    connection = connect()
    connection.sendall(head("/", "Content-Length: 9999") + bytes(9998))
    threading.Timer(0.1, connection.sendall, [b"x"]).start()
    assert "connection: close" not in response(connection)
    connection.sendall(head("/"))
    assert "200 ok" in response(connection)


def test_a_client_that_expects_to_be_told_to_continue_is_answered_at_once(connect):
    connection, begin = connect(), time.monotonic()
    connection.sendall(head("/", "Content-Length: 9", "Expect: 100-continue"))
    found = response(connection)
    assert ("100 continue" in found, "connection: close" in found) == (False, True)
    assert time.monotonic() - begin < 0.3


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
        (None, ""),
    ],
)
def test_addresses_that_one_subscriber_has_are_one(host, key):
    assert address_key(host) == key
