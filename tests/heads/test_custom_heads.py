"""Heads of the user's own in a comparison, from the function to the saved model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from headfit.backbones.custom.file import load
from headfit.backbones.engines.interface import probe_images
from headfit.cli.main import main
from headfit.features.store import FeatureMaps
from headfit.fitting.methods import Descent, method_of
from headfit.fitting.metrics import balanced_accuracy
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem
from headfit.heads.chain import Head, parse_head
from headfit.heads.keras_layers.weights import assign_head
from headfit.model.metadata import ModelRecord
from headfit.study.protocol.crossval import cross_validate
from headfit.study.protocol.ledger import Ledger
from headfit.study.protocol.splits import make_splits
from numbered import numbered
from photos import write_folder
from stored_maps import store_maps

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras")
N, K = 120, 3
LABELS = np.arange(N) % K
SMALL: dict[str, Any] = {"size": 48, "weights": "random", "folds": 3, "protocol": "quick"}
SETTINGS = {"shape": None, "learning_rate": 3e-3, "weight_decay": 1.0, "epochs": 4}
MODULE = """
import keras
from keras import layers

@keras.saving.register_keras_serializable("tests")
class Doubled(layers.Layer):
    def call(self, x):
        return 2 * x

def sixteen(x):
    return layers.Dense(16, activation="relu")(layers.GlobalAveragePooling2D()(x))

def normalised(x):
    x = Doubled()(layers.BatchNormalization()(x))
    return layers.Dropout(0.2)(layers.Flatten()(x[:, ::2, ::2]))
"""


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The current folder, with a module of heads."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_heads.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def problem() -> Problem:
    return Problem(numbered(LABELS, K), make_splits(LABELS, folds=3, repeats=1, seed=0), quick=True)


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> FeatureMaps:
    """Maps whose classes differ in every position."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(K, 1, 1, 64))[LABELS] + 2 * rng.normal(size=(N, 4, 4, 64))
    return store_maps(tmp_path_factory.mktemp("maps"), 7 * np.maximum(values, 0))


def fitted(head: Head, maps: FeatureMaps, problem: Problem, **more: Any) -> CrossValidation:
    method = method_of(head, PooledFeatures(maps, (head.pooling,)))
    return cross_validate(method, problem, **more)


def test_a_function_that_is_gap_16_scores_like_the_chain(
    maps: FeatureMaps, problem: Problem, tmp_path: Path
) -> None:
    own, ledger = parse_head("own_heads:sixteen"), Ledger(tmp_path, ["maps"], problem)
    chain = parse_head("gap-16")
    found = fitted(own, maps, problem, ledger=ledger)
    known = fitted(chain, maps, problem)
    assert own.parameters((4, 4, 64), K) == chain.parameters((4, 4, 64), K) == 1091
    scores = [balanced_accuracy(each.probabilities[0], LABELS) for each in (found, known)]
    assert min(scores) > 0.9, scores
    assert ledger.cross_validation(method_of(own, PooledFeatures(maps, ()))) is not None
    # the same fits come of the same seed
    again = Descent(found.head, PooledFeatures(maps, ())).cross_validate(problem)
    np.testing.assert_array_equal(again.probabilities, found.probabilities)


def test_a_callable_of_this_process_gets_the_statistics_of_all_training_images(
    maps: FeatureMaps, problem: Problem
) -> None:
    def head(x: Any) -> Any:
        x = layers.GlobalAveragePooling2D()(x)
        return layers.Dropout(0.5)(layers.BatchNormalization(center=False)(x))

    pooled = PooledFeatures(maps, ())
    own = parse_head(head).on((4, 4, 64), 0)
    assert own.name == "head" and own.parameters((4, 4, 64), K) == 64 + 65 * K
    weights = Descent(own, pooled).refit(problem, SETTINGS)
    averages = np.concatenate([piece.mean(axis=(1, 2)) for _, piece in maps.chunks()])
    mean, variance = weights.weights[1:3]
    np.testing.assert_allclose(mean, averages.mean(axis=0) * pooled.map_scale, rtol=1e-4)
    np.testing.assert_allclose(variance, averages.var(axis=0) * pooled.map_scale**2, rtol=1e-3)
    assert np.abs(weights.weights[0] - 1).max() > 1e-3
    assert balanced_accuracy(weights.probabilities_of(maps), LABELS) > 0.9


def test_the_model_that_is_saved_predicts_what_the_head_does(
    maps: FeatureMaps, problem: Problem
) -> None:
    own = parse_head("own_heads:normalised").on((4, 4, 64), 0)
    assert own.position_aware and own.parameters((4, 4, 64), K) == 2 * 64 + (4 * 64 + 1) * K
    fitted = Descent(own, PooledFeatures(maps, ())).refit(problem, SETTINGS)
    x = keras.Input((4, 4, 64))
    model = keras.Model(x, own.build(x, K, None, "channels_last", fitted.scale))
    assign_head(model, own, own.name_weights(fitted.weights))
    expected = fitted.probabilities_of(maps)
    assert balanced_accuracy(expected, LABELS) > 0.9
    given = np.concatenate([piece for _, piece in maps.chunks()])
    np.testing.assert_allclose(model.predict(given, verbose=0), expected, atol=1e-5)


def test_the_command_line_takes_a_saved_model_and_trains_it_on(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = keras.Input((2, 2, 1280))
    y = layers.Dense(4, activation="tanh", name="squeeze")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(x, y)
    kernel = model.get_layer("squeeze").get_weights()[0]
    model.save(here / "mine.keras")
    photos, out = write_folder(tmp_path / "photos", 8), tmp_path / "run"
    options = [f"--{name}={value}" for name, value in SMALL.items()]
    options += ["--no-where", "--no-curve", f"--out={out}"]
    assert main(["compare", str(photos), "--heads", "mine.keras", *options]) == 0
    results = json.loads((out / "results.json").read_text())
    assert [c["name"] for c in results["candidates"]] == ["mine.keras"]
    assert "mine.keras" in results["settings"]["command"]
    assert "mine.keras" in capsys.readouterr().err
    whole = load(out / "model.keras")
    moved = np.abs(whole.get_layer("head_pool").get_weights()[0] - kernel).max()
    assert 0 < moved < 0.1
    # the file notes what the fitted head made of two images
    expected = ModelRecord.read(out / "model.keras").probe
    found = whole.predict(probe_images(48, 48).astype(np.float32), verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert main(["predict", str(out / "model.keras"), str(photos / "red"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["predictions"]
    assert len(said) == 8 and all(each["error"] is None for each in said)
