"""What a server counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
TYPE = CONTENT_TYPE_LATEST


class Meters:
    """Counters of one server; `text` is what Prometheus reads."""

    def __init__(self) -> None:
        here = self.registry = CollectorRegistry()
        self.requests = Counter("cnncli_requests", "Requests that have been answered", ["path", "code"], registry=here)
        self.seconds = Histogram("cnncli_request_seconds", "Time to answer", ["path"], buckets=SECONDS, registry=here)
        self.images = Counter("cnncli_images", "Images that have been predicted", registry=here)
        self.unusable = Counter("cnncli_unusable_images", "Images that could not be used", registry=here)
        self.batches = Histogram(
            "cnncli_batch_images", "Images that were predicted together", buckets=BATCHES, registry=here
        )
        self.waiting = Gauge("cnncli_waiting_images", "Images that wait", registry=here)
        self.loads = Counter("cnncli_model_loads", "Times that a model was loaded", registry=here)

    def text(self) -> bytes:
        """The counters in Prometheus' text format."""
        found: bytes = generate_latest(self.registry)
        return found
