"""Metrics of the server, in the format of Prometheus."""

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

LATENCY_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds."""


class ServerMetrics:
    """Metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "netchu_requests", "Requests by route and status.", ("route", "status"),
            registry=self.registry,
        )  # fmt: skip
        self.latency = Histogram(
            "netchu_request_seconds", "Seconds until the response.", ("route",),
            buckets=LATENCY_BUCKETS, registry=self.registry,
        )  # fmt: skip
        self.images = Counter(
            "netchu_images", "Images by outcome.", ("outcome",), registry=self.registry
        )
        self.replaced = Counter(
            "netchu_replaced_workers", "Processes that an image ended or kept too long.",
            registry=self.registry,
        )  # fmt: skip
        self._pending = Gauge(
            "netchu_held_images", "Images that are queued or being read.", registry=self.registry
        )

    def track_pending(self, pending: Callable[[], float]) -> None:
        """Call `pending` for the number of images that are queued or being read."""
        self._pending.set_function(pending)

    def to_prometheus(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)
