"""headfit's own server with a small model, for tests without an address."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import classifiers
import headfit as hf
from conformance.client import Server
from headfit.study.reliability.model_reliability import ModelReliability
from headfit.study.reliability.outliers import fit_detector
from serving import served

MODEL = "Small-1.0"
CHANNELS = 6


def reliability() -> ModelReliability:
    """Thresholds for a small model, so that it has all outputs."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    maps = rng.random((60, CHANNELS)) + labels[:, None]
    return ModelReliability(1.3, 0.9, 0.5, fit_detector(maps, labels, np.arange(60) % 5))


def small_model(folder: Path) -> Path:
    """Write a model of 32 pixels and three classes."""
    return classifiers.random_classifier("gap", folder / f"{MODEL}.keras", reliability())


@contextlib.contextmanager
def own_server(folder: Path) -> Iterator[Server]:
    """Serve a small model over HTTP, on a port of its own."""
    with served(hf.serve.create_app(small_model(folder))) as url:
        yield Server(url, MODEL)
