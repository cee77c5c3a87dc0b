"""A trained head in the saved Keras model gives what it gave before it was saved."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
import numpy as np
import pytest

import own_models
from headfit.backbones.spec import IDENTITY, BackboneSpec
from headfit.fitting.fitted import FittedHead
from headfit.fitting.methods import Descent
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.heads.chain import parse_head
from headfit.model.assemble_child import write_model
from headfit.model.assembly import Assembly
from headfit.study.protocol.splits import make_splits
from numbered import numbered
from stored_maps import store_maps

K, N, SIDE = 3, 30, own_models.SIDE
LABELS = np.arange(N) % K
SETTINGS = {"shape": None, "learning_rate": 0.02, "weight_decay": 0.1, "epochs": 3}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray, np.ndarray]:
    """A small model's file, pixels, and the maps that it makes of them."""
    path = tmp_path_factory.mktemp("backbone") / "net.keras"
    own_models.functional().save(path)
    pixels = np.random.default_rng(0).integers(0, 256, (N, SIDE, SIDE, 3)).astype(np.float32)
    pixels[LABELS == 1, :8] /= 4
    pixels[LABELS == 2, :, :8] /= 4
    maps = own_models.net().predict(pixels, verbose=0)
    return path, pixels, maps


@pytest.mark.parametrize("chain", ["attention", "low_rank", "fastai", "multi_query-bn-4"])
def test_the_saved_model_says_what_the_trained_head_said(
    backbone: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path, chain: str
) -> None:
    path, pixels, maps = backbone
    head = parse_head(chain)
    problem = Problem(numbered(LABELS, K), make_splits(LABELS, folds=3, repeats=1, seed=0))
    pooled = PooledFeatures(store_maps(tmp_path / "store", maps), (head.pooling,))
    fitted = Descent(head, pooled).refit(problem, SETTINGS)
    written = _write(path, fitted, tmp_path)
    model = keras.saving.load_model(written, safe_mode=True)
    expected = fitted.probabilities(maps)
    np.testing.assert_allclose(model.predict(pixels, verbose=0), expected, atol=1e-5)
    assert expected.std(axis=0).max() > 0.01  # not the same for all images
    trained = sum(
        int(np.prod(weight.shape))
        for layer in model.layers
        if layer.name.startswith("head_")
        for weight in layer.trainable_weights
    )
    assert head.parameters(maps.shape[1:], K) == trained


def test_weights_for_another_head_are_refused(
    backbone: tuple[Path, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    weights = [np.zeros((6, K)), np.zeros(K), np.zeros(K)]
    fitted = FittedHead(parse_head("gap"), None, tuple(weights))
    with pytest.raises(ValueError, match=r"has 2 arrays\. Received: 3"):
        _write(backbone[0], fitted, tmp_path)


def _write(backbone: Path, fitted: FittedHead, folder: Path) -> Path:
    np.savez(folder / "head.npz", **fitted.head.name_weights(fitted.weights))
    spec = BackboneSpec("mine", IDENTITY, SIDE, 8, channels_first=False, place=str(backbone))
    path = folder / "model.keras"
    request = Assembly(
        backbone=spec.place,
        weights="imagenet",
        contract=spec.contract().to_dict(),
        head=fitted.head.name,
        shape=fitted.shape,
        scale=fitted.scale,
        classes=K,
        head_weights=str(folder / "head.npz"),
        path=str(path),
    )
    write_model(request)
    return path
