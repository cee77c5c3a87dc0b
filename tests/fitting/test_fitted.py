from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from headfit.features.store import FeatureStore
from headfit.fitting.fitted import FittedHead, latency_ms
from headfit.heads.chain import parse_head

MAPS = np.abs(np.random.default_rng(0).normal(size=(9, 2, 3, 4))).astype(np.float32)


def fitted(chain: str, widths: list[int], shape: float | None = None, seed: int = 1) -> FittedHead:
    rng = np.random.default_rng(seed)
    weights = []
    for before, after in pairwise(widths):
        weights += [rng.normal(size=(before, after)), rng.normal(size=after)]
    return FittedHead(parse_head(chain), shape, tuple(w.astype(np.float32) for w in weights))


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def test_a_linear_head_is_a_softmax_of_the_pooled_features():
    head = fitted("gap", [4, 3])
    kernel, bias = head.weights
    found = head.probabilities(MAPS)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, softmax(MAPS.mean(axis=(1, 2)) @ kernel + bias), atol=1e-6)


def test_the_shape_of_the_pooling_counts():
    cube = np.mean(MAPS.astype(np.float64) ** 3, axis=(1, 2)) ** (1 / 3)
    head = fitted("gem", [4, 3], shape=3.0)
    kernel, bias = head.weights
    np.testing.assert_allclose(head.probabilities(MAPS), softmax(cube @ kernel + bias), atol=1e-5)
    assert not np.allclose(fitted("gem", [4, 3], shape=1.0).probabilities(MAPS), cube @ kernel)


def test_hidden_layers_are_applied_in_turn_and_dropout_is_not():
    head = fitted("flatten-dropout0.5-6-5:tanh", [24, 6, 5, 3])
    a, b, c, d, e, f = head.weights
    hidden = np.tanh(np.maximum(MAPS.reshape(9, -1) @ a + b, 0) @ c + d)
    np.testing.assert_allclose(head.probabilities(MAPS), softmax(hidden @ e + f), atol=1e-5)


@pytest.mark.parametrize("chain", ["gap", "gap-5"])
def test_stored_maps_give_the_same_piece_by_piece(tmp_path, monkeypatch, chain):
    store = FeatureStore(tmp_path)
    store.append([str(i) for i in range(9)], MAPS)
    maps = store.maps([str(i) for i in range(9)])
    head = fitted(chain, [4, *([5] if "-" in chain else []), 3])
    whole = head.probabilities(next(maps.chunks())[1])
    monkeypatch.setattr("headfit.features.store.CHUNK_BYTES", 4 * MAPS[0].nbytes)
    np.testing.assert_allclose(head.probabilities_of(maps), whole, atol=1e-6)


def test_a_linear_head_needs_no_jax():
    code = (
        "import sys, numpy as np\n"
        "from headfit.fitting.fitted import FittedHead\n"
        "from headfit.heads.chain import parse_head\n"
        "head = FittedHead(parse_head('gap'), None, (np.ones((4, 2)), np.ones(2)))\n"
        "head.probabilities(np.ones((1, 2, 2, 4), np.float32))\n"
        "assert not {'jax', 'keras'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("chain", ["gap", "gem", "flatten", "gap-8-4"])
def test_the_time_of_any_head_can_be_taken_untrained(chain):
    assert 0 < latency_ms(parse_head(chain), (4, 4, 6), 3) < 1000
