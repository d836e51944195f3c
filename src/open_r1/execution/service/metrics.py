"""What the service counts, in the text format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from open_r1.execution.programs import Execution, Program
from open_r1.text.languages import ALIASES, canonical_language

PREFIX = "open_r1_executor"
RUN_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The counters of one service; each has a registry of its own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(f"{PREFIX}_requests", "Requests answered", ["route", "status"], registry=registry)
        self.programs = Counter(f"{PREFIX}_programs", "Programs run", ["language", "status"], registry=registry)
        self.unavailable = Counter(
            f"{PREFIX}_unavailable", "Programs that could not be run, by reason", ["reason"], registry=registry
        )
        self.cancelled = Counter(f"{PREFIX}_cancelled", "Programs whose client left", registry=registry)
        self.seconds = Histogram(
            f"{PREFIX}_run_seconds", "From a slot to the result", buckets=RUN_BUCKETS_S, registry=registry
        )
        self.waiting = Gauge(f"{PREFIX}_waiting", "Programs that wait", registry=registry)
        self.running = Gauge(f"{PREFIX}_running", "Programs handed to the provider", registry=registry)
        self.clients = Gauge(f"{PREFIX}_clients", "Clients with programs here", registry=registry)
        self.healthy = Gauge(f"{PREFIX}_healthy", "1 if the last self-test passed", registry=registry)

    def count(self, program: Program, execution: Execution, seconds: float) -> None:
        """Count a finished program by language, status and reason, and its duration in seconds."""
        language = canonical_language(program.language)
        self.programs.labels(language if language in ALIASES else "other", execution.status.value).inc()
        if execution.reason:
            self.unavailable.labels(execution.reason).inc()
        self.seconds.observe(seconds)

    def render(self, waiting: int, running: int, clients: int) -> bytes:
        """All of it, with the queue as it is now: programs that wait and that run, and their clients."""
        self.waiting.set(waiting)
        self.running.set(running)
        self.clients.set(clients)
        return generate_latest(self._registry)
