"""The server under load: `python benchmarks/serving.py [--clients 200] [--seconds 60]`.

Clients of this machine send the sample lines, each the next as soon as it has an answer; one that
is refused waits as long as it is told to. Reported are lines per second, latency of the answers
(refusals apart), statuses, and the server's memory at the start of the load and at its end.
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
from dataclasses import dataclass, field
from pathlib import Path

from netchu.serve.samples import SHIPPED

WARM = 5.0
"""Seconds of load before memory is looked at: threads and buffers have come by then."""


@dataclass
class Load:
    """What came of it. latencies: seconds, of answers with readings. memory: MB, resident."""

    seconds: float
    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        """Seconds within which that share of the lines was answered."""
        return sorted(self.latencies)[int(share * (len(self.latencies) - 1))]

    def __str__(self) -> str:
        return (
            f"{len(self.latencies) / self.seconds:.1f} lines/s, p50 {self.quantile(0.5):.2f} s, "
            f"p95 {self.quantile(0.95):.2f} s, statuses {dict(self.statuses)}, memory "
            f"{self.memory[0]:.0f} MB after {WARM:g} s, {max(self.memory):.0f} MB at most, "
            f"{self.memory[-1]:.0f} MB at the end"
        )


def body(image: bytes) -> bytes:
    """A whole request, head and form."""
    form = (
        b'--line\r\nContent-Disposition: form-data; name="images"; filename="line.jpg"\r\n\r\n'
        + image + b"\r\n--line--\r\n"
    )  # fmt: skip
    head = (
        "POST /api/read?line=true HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: multipart/form-data; boundary=line\r\nContent-Length: {len(form)}\r\n\r\n"
    )
    return head.encode() + form


async def ask(port: int, requests: list[bytes], load: Load, until: float) -> None:
    """One client, on one connection."""
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


async def watch(process: int, load: Load, until: float) -> None:
    """Note the server's memory once a second."""
    await asyncio.sleep(WARM)
    while True:
        status = Path(f"/proc/{process}/status").read_text()
        load.memory.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024)
        if time.perf_counter() >= until:
            return
        await asyncio.sleep(1)


async def _load(port: int, process: int, clients: int, seconds: float) -> Load:
    load, until = Load(seconds), time.perf_counter() + seconds
    requests = [body(path.read_bytes()) for path in sorted(SHIPPED.iterdir())]
    asking = [ask(port, requests, load, until) for _ in range(clients)]
    await asyncio.gather(watch(process, load, until), *asking)
    return load


def measure(clients: int, seconds: float) -> Load:
    """Start a server, put it under load, end it."""
    command = [sys.executable, "-m", "netchu", "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(re.search(r":(\d+)/", server.stdout.readline())[1])
        return asyncio.run(_load(port, server.pid, clients, seconds))
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    wanted = parser.parse_args()
    print(f"{wanted.clients} clients, {wanted.seconds:g} s, {os.cpu_count()} cores: ", end="")
    print(measure(wanted.clients, wanted.seconds))


if __name__ == "__main__":
    main()
