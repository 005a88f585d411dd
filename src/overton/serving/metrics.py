"""What Prometheus reads at ``/metrics``."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

disable_created_metrics()  # the time at which each counter began: twice as many lines, and nobody asked

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 180.0)
_ANSWERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        own = self.registry
        self.requests = Counter("overton_requests", "Requests.", ["route", "status"], registry=own)
        self.seconds = Histogram(
            "overton_request_seconds", "Request to answer.", ["route"], registry=own, buckets=_SECONDS
        )
        self.answers = Counter("overton_answers", "Answers by outcome: scored, unscored.", ["outcome"], registry=own)
        self.batch = Histogram("overton_batch_answers", "Answers of a batch.", buckets=_ANSWERS, registry=own)
        self.scoring = Histogram("overton_batch_seconds", "Time to score a batch.", buckets=_SECONDS, registry=own)
        self.groups = Counter(
            "overton_sibling_groups", "Groups that waited for siblings: whole, partial.", ["outcome"], registry=own
        )
        self.deaths = Counter("overton_worker_deaths", "Workers that ended unasked.", registry=own)
        for name in ("scored", "unscored"):
            self.answers.labels(name)
        for name in ("whole", "partial"):
            self.groups.labels(name)

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """A gauge whose value is asked for when somebody looks."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)
