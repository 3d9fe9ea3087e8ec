"""Load test of `netchu serve`: `python benchmarks/serving.py [--clients 200] [--seconds 60]`.

Clients on this machine send the sample lines, each the next one as soon as it has a response. A
refused client waits as `Retry-After` says. The output is lines per second, latency of the responses
with readings, statuses, and memory of the server during the load.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from netchu.serve.samples import SHIPPED_SAMPLES

WARM_UP = 5.0
"""Seconds of load before memory is measured, so that threads and buffers are allocated."""


@dataclass
class LoadTest:
    """Measurements of a load test.

    Attributes:
        seconds: duration.
        statuses: number of responses by status.
        latencies: seconds until each response with readings.
        memory: of the server's processes in MB, once a second.
    """

    seconds: float
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def quantile(self, q: float) -> float:
        """Return a quantile of the latencies."""
        return sorted(self.latencies)[int(q * (len(self.latencies) - 1))]

    def __str__(self) -> str:
        return (
            f"{len(self.latencies) / self.seconds:.1f} lines/s, p50 {self.quantile(0.5):.2f} s, "
            f"p95 {self.quantile(0.95):.2f} s, statuses {dict(self.statuses)}, memory "
            f"{self.memory[0]:.0f} MB after {WARM_UP:g} s, {max(self.memory):.0f} MB at most, "
            f"{self.memory[-1]:.0f} MB at the end"
        )


def encode_request(image: bytes) -> bytes:
    """Return a whole HTTP request with one image as a form."""
    form = (
        b'--line\r\nContent-Disposition: form-data; name="images"; filename="line.jpg"\r\n\r\n'
        + image + b"\r\n--line--\r\n"
    )  # fmt: skip
    head = (
        "POST /api/read?line=true HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary=line\r\nContent-Length: {len(form)}\r\n\r\n"
    )
    return head.encode() + form


async def run_client(port: int, requests: list[bytes], load: LoadTest, until: float) -> None:
    """Send requests on one connection until the time `until`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < until:
        begin = time.perf_counter()
        writer.write(random.choice(requests))
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        await reader.readexactly(int(re.search(r"content-length: (\d+)", head)[1]))
        status = int(head.split()[1])
        load.statuses[status] += 1
        if status == 200:
            load.latencies.append(time.perf_counter() - begin)
        elif status == 429:
            wait = float(re.search(r"retry-after: (\d+)", head)[1])
            await asyncio.sleep(wait * random.uniform(1, 2))
    writer.close()


def memory_of_tree(process: int) -> float:
    """Return the memory of a process and its children in MB; shared pages count once."""
    server = psutil.Process(process)
    total = 0
    for each in (server, *server.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # a worker that has been replaced
            total += each.memory_full_info().pss
    return total / 2**20


async def measure_memory(process: int, load: LoadTest, until: float) -> None:
    """Record the memory of the process and its children once a second."""
    await asyncio.sleep(WARM_UP)
    while True:
        load.memory.append(memory_of_tree(process))
        if time.perf_counter() >= until:
            return
        await asyncio.sleep(1)


async def _run(port: int, process: int, clients: int, seconds: float) -> LoadTest:
    load, until = LoadTest(seconds), time.perf_counter() + seconds
    requests = [encode_request(path.read_bytes()) for path in sorted(SHIPPED_SAMPLES.iterdir())]
    running = [run_client(port, requests, load, until) for _ in range(clients)]
    await asyncio.gather(measure_memory(process, load, until), *running)
    return load


def measure(clients: int, seconds: float) -> LoadTest:
    """Start a server, run the load test and stop the server."""
    command = [sys.executable, "-m", "netchu", "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r":(\d+)/", server.stdout.readline())[1])
        return asyncio.run(_run(port, server.pid, clients, seconds))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def main() -> None:
    """Run the load test and print its results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    print(f"{arguments.clients} clients, {arguments.seconds:g} s, {os.cpu_count()} cores: ", end="")
    print(measure(arguments.clients, arguments.seconds))


if __name__ == "__main__":
    main()
