"""What `/metrics` tells Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Measures:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "netchu_requests", "Requests by route and status.", ("route", "status"),
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "netchu_request_seconds", "Seconds until the answer.", ("route",), buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.images = Counter(
            "netchu_images", "Images by what became of them.", ("outcome",), registry=self.registry
        )
        self.together = Histogram(
            "netchu_batch_images", "Images that were read together.",
            buckets=(1, 2, 4, 8, 16), registry=self.registry,
        )  # fmt: skip
        self._held = Gauge(
            "netchu_held_images", "Images that wait or are being read.", registry=self.registry
        )

    def watch_held(self, held: Callable[[], float]) -> None:
        """Ask `held` for the images that wait or are being read."""
        self._held.set_function(held)

    def text(self) -> bytes:
        """All of it, in Prometheus' format."""
        return generate_latest(self.registry)
