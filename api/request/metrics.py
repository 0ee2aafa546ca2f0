"""What Prometheus can read of the API: requests, errors, and the database's share of the time."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 20)


class Metrics:
    """The counters of one API."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter(
            "atlas_requests", "Requests answered.", ["path", "status"], registry=self._registry
        )
        self.request_seconds = Histogram(
            "atlas_request_seconds", "Time to answer.", ["path"], buckets=SECONDS, registry=self._registry
        )
        self.errors = Counter("atlas_errors", "Errors in answers.", ["code"], registry=self._registry)
        self.running = Gauge(
            "atlas_running_queries", "GraphQL queries and downloads being answered.", registry=self._registry
        )
        self.waiting = Gauge(
            "atlas_waiting_queries",
            "GraphQL queries and downloads that wait for a free slot.",
            registry=self._registry,
        )
        self.database_seconds = Histogram(
            "atlas_database_seconds",
            "Time of questions to the database.",
            ["question"],
            buckets=SECONDS,
            registry=self._registry,
        )

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self._registry)
