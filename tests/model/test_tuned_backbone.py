"""A classifier with a fine-tuned backbone computes with the trained weights everywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import own_models
from headfit.backbones.catalog import find
from headfit.backbones.engines.interface import probe_images
from headfit.errors import EngineError
from headfit.finetuning.tuned import TunedStages
from headfit.fitting.fitted import FittedHead
from headfit.heads.chain import parse_head
from headfit.model.blueprint import Blueprint

SIDE, CLASSES = own_models.SIDE, ("a", "b", "c")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backbone") / "net.keras"
    own_models.functional().save(path)
    return path


@pytest.fixture(scope="module")
def tuned() -> TunedStages:
    model, rng = own_models.net(), np.random.default_rng(1)
    layers = [model.get_layer(name) for name in ("norm", "conv_b")]
    drawn = {
        layer.name: [rng.uniform(0.1, 0.4, w.shape) for w in layer.weights] for layer in layers
    }
    return TunedStages("conv_a", drawn)


@pytest.fixture(scope="module")
def blueprint(backbone: Path, tuned: TunedStages) -> Blueprint:
    spec = find(str(backbone))
    rng = np.random.default_rng(2)
    weights = (rng.normal(size=(6, 3)).astype(np.float32) / 500, np.zeros(3, np.float32))
    fitted = FittedHead(parse_head("gap"), None, weights)
    probe = fitted.probabilities(maps_of(probe_images(SIDE, SIDE), tuned))
    return Blueprint(
        *(spec.name, "imagenet", spec.contract(), fitted),
        classes=CLASSES,
        probe=probe,
        version="0",
        reference=spec.reference,
        tuned=tuned,
    )


def maps_of(pixels: np.ndarray, tuned: TunedStages) -> np.ndarray:
    """Maps of the backbone with the trained weights, computed by Keras."""
    model = own_models.net()
    for name, arrays in tuned.weights.items():
        model.get_layer(name).set_weights(arrays)
    return np.asarray(model(pixels.astype(np.float32)))


def test_predictions_and_explanations_are_those_of_the_trained_weights(
    blueprint: Blueprint, tuned: TunedStages
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)
    pixels //= np.arange(1, 6, dtype=np.uint8)[:, None, None, None]
    maps, fitted = maps_of(pixels, tuned), blueprint.fitted
    classifier = blueprint.classifier()
    expected = fitted.probabilities(maps)
    np.testing.assert_allclose(classifier.predict_proba(pixels), expected, atol=1e-5)
    assert expected.std(axis=0).max() > 0.01
    heat = classifier.explain(pixels, "b")
    np.testing.assert_allclose(heat, maps @ fitted.weights[0][:, 1] / 16, rtol=1e-4, atol=1e-5)


def test_a_file_of_other_trained_weights_is_another_file(
    blueprint: Blueprint, tuned: TunedStages
) -> None:
    weights = {**tuned.weights, "norm": [array * 1.01 for array in tuned.weights["norm"]]}
    others = [replace(tuned, weights=weights), replace(tuned, start=""), None]
    digests = {replace(blueprint, tuned=each)._digest() for each in [tuned, *others]}
    assert len(digests) == 4


@pytest.mark.parametrize(
    ("start", "layer", "shape", "message"),
    [
        ("norm", "norm", (4,), "'norm' of .* cannot have been trained: only layers after 'norm'"),
        ("conv_a", "conv_a", (6,), "'conv_a' of .* cannot have been trained"),
        ("conv_a", "conv_b", (1,), r"do not fit layer 'conv_b'.*\(3, 3, 4, 6\).*\(1,\)"),
    ],
)
def test_weights_that_cannot_have_been_trained_are_an_error(
    blueprint: Blueprint, tmp_path: Path, start: str, layer: str, shape: tuple[int], message: str
) -> None:
    wrong = TunedStages(start, {layer: [np.zeros(shape)]})
    with pytest.raises(EngineError, match=message):
        replace(blueprint, tuned=wrong).write(tmp_path / "model.keras")


def test_a_file_with_other_outputs_than_training_ended_with_is_not_written(
    blueprint: Blueprint, tmp_path: Path
) -> None:
    wrong = replace(blueprint, probe=blueprint.probe + np.array([0.01, -0.01, 0.0]))
    with pytest.raises(EngineError, match=r"not written: opened again, its outputs differ"):
        wrong.write(tmp_path / "model.keras")
    assert not list(tmp_path.iterdir())


def test_trained_weights_survive_their_file(tuned: TunedStages, tmp_path: Path) -> None:
    tuned.save(tmp_path / "tuned.npz")
    loaded = TunedStages.load(tmp_path / "tuned.npz", "conv_a")
    assert loaded.identity() == tuned.identity()
