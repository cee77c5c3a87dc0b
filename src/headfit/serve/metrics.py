"""What Prometheus is told: requests, queue, decoding, inference, and what the models answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from headfit.images.targets import LABELS, NUMBER
from headfit.model.prediction import label_sets
from headfit.serve.job import Row
from headfit.serve.models import ServedModel

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
IMAGES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The counters of one server.

    Attributes:
        registry: what is exported.
        requests: by route and status.
        latency: seconds from the headers of a request to the end of its answer, by route.
        queue: images that are accepted and not yet answered.
        held: bytes of bodies of requests that are not yet answered.
        refused: requests that were refused because too much waited, or were not ready in time.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def name(text: str) -> str:
            return f"headfit_{text}"

        self.requests = Counter(
            name("requests"), "Requests answered.", ("route", "status"), registry=registry
        )
        self.latency = Histogram(
            name("request_seconds"),
            "Seconds from the headers of a request to the end of its answer.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self.queue = Gauge(
            name("queue_images"), "Images accepted and not yet answered.", registry=registry
        )
        self.held = Gauge(
            name("held_bytes"), "Bytes of bodies of unanswered requests.", registry=registry
        )
        self._request_images = Histogram(
            name("request_images"),
            "Images of a request.",
            ("model",),
            buckets=IMAGES,
            registry=registry,
        )
        self._batch = Histogram(
            name("batch_images"),
            "Images that the engine was given at once.",
            ("model",),
            buckets=IMAGES,
            registry=registry,
        )
        self._decode = Histogram(
            name("decode_seconds"),
            "Seconds for decoding an image.",
            ("model",),
            buckets=SECONDS,
            registry=registry,
        )
        self._inference = Histogram(
            name("inference_seconds"),
            "Seconds for running a batch.",
            ("model",),
            buckets=SECONDS,
            registry=registry,
        )
        self._images = Counter(
            name("images"), "Images by outcome.", ("model", "outcome"), registry=registry
        )
        self._classes = Counter(
            name("predicted"), "Images by predicted class.", ("model", "class"), registry=registry
        )
        self._outliers = Counter(
            name("outliers"), "Images unlike the training images.", ("model",), registry=registry
        )
        self._loads = Counter(
            name("model_loads"),
            "Times that a model was opened or could not be.",
            ("model", "outcome"),
            registry=registry,
        )
        self._loaded = Gauge(
            name("model_loaded_timestamp_seconds"),
            "When the model that answers was opened.",
            ("model",),
            registry=registry,
        )

    def watch(self, images: Callable[[], float], held: Callable[[], float]) -> None:
        """Say where the two gauges look."""
        self.queue.set_function(images)
        self.held.set_function(held)

    def opened(self, model: ServedModel) -> Observation:
        """Note that a model was opened; every class or label of it begins at 0."""
        self._loads.labels(model.name, "opened").inc()
        self._loaded.labels(model.name).set_to_current_time()
        for name in model.classes if model.kind != NUMBER else ():
            self._classes.labels(model.name, name)
        self._outliers.labels(model.name)
        return Observation(self._decode, self._inference, self._batch, model.name)

    def not_opened(self, name: str) -> None:
        """Note that a model could not be opened."""
        self._loads.labels(name, "failed").inc()

    def answered(self, model: ServedModel, rows: Sequence[Row]) -> None:
        """Note the outcome for the images of one request."""
        self._request_images.labels(model.name).observe(len(rows))
        good = [row for row in rows if isinstance(row, np.ndarray)]
        self._images.labels(model.name, "unreadable").inc(len(rows) - len(good))
        self._images.labels(model.name, "predicted").inc(len(good))
        if not good:
            return
        outputs = np.stack(good)
        predictions = outputs[:, : len(model.classes)]
        if model.kind == LABELS:
            sets = label_sets(predictions, model.classifier.record)
        else:
            sets = [(model.classes[place],) for place in predictions.argmax(axis=1)]
        for name in chain.from_iterable(sets) if model.kind != NUMBER else ():
            self._classes.labels(model.name, name).inc()
        self._outliers.labels(model.name).inc(int(np.sum(model.outliers(outputs))))

    def text(self) -> bytes:
        """Write all of them in the format of Prometheus."""
        return generate_latest(self.registry)


class Observation:
    """What the batcher of one model tells; see :class:`~headfit.serve.batcher.Observer`."""

    def __init__(
        self, decode: Histogram, inference: Histogram, batch: Histogram, name: str
    ) -> None:
        self._decode, self._inference = decode.labels(name), inference.labels(name)
        self._batch = batch.labels(name)

    def decoded(self, seconds: float) -> None:
        """An image was decoded, or found to be unreadable."""
        self._decode.observe(seconds)

    def ran(self, images: int, seconds: float) -> None:
        """A lane ran some images at once."""
        self._inference.observe(seconds)
        self._batch.observe(images)
