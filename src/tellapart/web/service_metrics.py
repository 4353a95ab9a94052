"""What `/metrics` counts, in a registry of its own, so that several apps of one process do not add up."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class ServiceMetrics:
    """The counters of one app.

    Attributes:
        registry: with all of them.
        requests: by route and status.
        seconds: from the head of a request to the end of its answer, by route.
        answers: by model and kind: `class`, or the doubt.
        refused: by the kind of refusal.
        takeovers: of bundles, by model and result.
        waited, worked: of each job, in the queue and in its thread.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        ProcessCollector(registry=registry)
        self.requests = Counter("tellapart_requests", "Requests answered.", ("route", "status"), registry=registry)
        self.seconds = Histogram(
            "tellapart_request_seconds", "From head to answer.", ("route",), buckets=_SECONDS, registry=registry
        )
        self.answers = Counter("tellapart_answers", "Photos answered.", ("model", "kind"), registry=registry)
        self.refused = Counter("tellapart_refused", "Requests refused.", ("reason",), registry=registry)
        self.takeovers = Counter("tellapart_takeovers", "New bundles seen.", ("model", "result"), registry=registry)
        self.waited = Histogram("tellapart_queue_seconds", "Waiting for a worker.", buckets=_SECONDS, registry=registry)
        self.worked = Histogram(
            "tellapart_work_seconds", "Decoding and predicting.", buckets=_SECONDS, registry=registry
        )

    def add_gauges(self, gauges: Iterable[tuple[str, str, Callable[[], float]]]) -> None:
        """Nothing; each name, with its meaning, shows what its function gives at the moment of asking."""
        for name, meaning, measure in gauges:
            Gauge(name, meaning, registry=self.registry).set_function(measure)

    def count_job(self, waited: float, worked: float) -> None:
        """Nothing; a job has waited and worked for so many seconds."""
        self.waited.observe(waited)
        self.worked.observe(worked)

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)
