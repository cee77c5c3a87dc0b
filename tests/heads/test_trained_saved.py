"""Poolings with weights of their own in saved models, on every Keras backend."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from headfit import layers
from headfit.util import child
from jobs_child import FunctionCall

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
# none as it is by default, since what is saved must not come back as a default
LAYERS = {
    "attention": layers.AttentionPooling(),
    "multi_query": layers.MultiQueryPooling(queries=4),
    "simpool": layers.SimPooling(seed=3),
    "covariance": layers.CovariancePooling(most=6),
    "netvlad": layers.NetVLAD(clusters=3),
    "low_rank": layers.LowRankReadout(classes=5, rank=3),
}


@pytest.fixture(autouse=True)
def children_find_their_functions(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """One model that ends in every layer, its pixels, and where each layer's output is."""
    folder, rng = tmp_path_factory.mktemp("trained"), np.random.default_rng(0)
    x = keras.Input((11, 13, 3))
    maps = keras.layers.Conv2D(12, 3, 2, activation="relu")(keras.layers.Rescaling(1 / 255)(x))
    outputs = {name: layer(maps) for name, layer in LAYERS.items()}
    model = keras.Model(x, keras.layers.Concatenate()(list(outputs.values())))
    model.set_weights([w + rng.normal(0, 0.2, w.shape) for w in model.get_weights()])
    pixels = rng.integers(0, 256, (3, 11, 13, 3), np.uint8)
    model.save(folder / "model.keras")
    np.save(folder / "pixels.npy", pixels)
    ends = np.cumsum([output.shape[1] for output in outputs.values()])
    found = model.predict(pixels.astype(np.float32), verbose=0)
    return folder, np.split(found, ends[:-1], axis=1), ends


def same(found, expected, ends, **close):
    for name, a, b in zip(LAYERS, np.split(found, ends[:-1], axis=1), expected, strict=True):
        np.testing.assert_allclose(a, b, err_msg=name, **close)


def test_a_loaded_model_is_the_same(saved):
    folder, expected, ends = saved
    again = keras.saving.load_model(folder / "model.keras", safe_mode=True)
    for layer in LAYERS.values():
        assert again.get_layer(layer.name).get_config() == layer.get_config()
    pixels = np.load(folder / "pixels.npy").astype(np.float32)
    same(again.predict(pixels, verbose=0), expected, ends, rtol=0)


def arguments(folder, target):
    places = {"path": folder / "model.keras", "pixels": folder / "pixels.npy", "folder": target}
    return {name: str(place) for name, place in places.items()}


@pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_tensorflow_gives_the_same_and_saves_it_again(saved, tmp_path):
    folder, expected, ends = saved
    request = FunctionCall("trained_child:saved_again", arguments(folder, tmp_path))
    answer = child.call(request, backend="tensorflow")
    assert answer["backend"] == "tensorflow"
    first, second = (np.load(tmp_path / f"{name}.npy") for name in ("first", "second"))
    np.testing.assert_array_equal(first, second)
    same(first, expected, ends, rtol=1e-4, atol=1e-5)


def test_it_becomes_a_graph_of_openvino(saved, tmp_path):
    folder, expected, ends = saved
    request = FunctionCall("trained_child:as_graph", arguments(folder, tmp_path))
    answer = child.call(request, backend="openvino")
    assert answer["backend"] == "openvino"
    same(np.load(tmp_path / "graph.npy"), expected, ends, rtol=1e-4, atol=1e-5)
