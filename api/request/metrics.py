"""Metrics for Prometheus: requests, errors, and the time spent in the database."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 20)


class Metrics:
    """The metrics of one API."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "atlas_requests", "Requests answered.", ["path", "status"], registry=self._registry
        )
        self.request_seconds = Histogram(
            "atlas_request_seconds",
            "Seconds to answer a request.",
            ["path"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.errors = Counter("atlas_errors", "Errors in answers.", ["code"], registry=self._registry)
        self.running = Gauge(
            "atlas_running_queries", "GraphQL queries and downloads that run now.", registry=self._registry
        )
        self.waiting = Gauge(
            "atlas_waiting_queries",
            "GraphQL queries and downloads that wait for a free slot.",
            registry=self._registry,
        )
        self.database_seconds = Histogram(
            "atlas_database_seconds",
            "Seconds that the database takes for a question.",
            ["question"],
            buckets=SECONDS,
            registry=self._registry,
        )

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
