"""Small classifiers as headfit writes them, with heads of random weights or fitted to corners."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

import small_models
from headfit.backbones.engines.interface import probe_images
from headfit.fitting.kinds import KINDS
from headfit.heads.chain import parse_head
from headfit.images.contract import Contract
from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.model.metadata import ModelRecord
from headfit.study.reliability.model_reliability import (
    LabelReliability,
    NumberReliability,
    Reliabilities,
)
from headfit.study.reliability.outliers import OutlierDetector

SIDE = 32
CORNERS = ("bottom left", "bottom right", "top left", "top right")


def build(chain: str, classes: int, scale: float = 1.0, kind: str = CLASS) -> keras.Model:
    """Pixels to predictions: 8×8 positions of 6 channels, then the head."""
    keras.utils.set_random_seed(0)
    images = keras.Input((SIDE, SIDE, 3), name="images")
    pixels = keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocessing")(images)
    maps = small_models.backbone(side=SIDE)(pixels, training=False)
    head = parse_head(chain)
    activation = KINDS[kind].activation
    outputs = head.build(maps, classes, None, "channels_last", scale, activation)
    return keras.Model(images, outputs, name="headfit_classifier")


def write(
    model: keras.Model,
    chain: str,
    path: Path,
    classes: tuple[str, ...],
    reliability: Reliabilities | None = None,
    kind: str = CLASS,
) -> Path:
    """Save a model with its record."""
    model.save(path)
    contract = Contract(SIDE, SIDE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    p = np.asarray(model.predict(probe_images(SIDE, SIDE).astype(np.float32), verbose=0))
    probe = tuple(tuple(map(float, row)) for row in p)
    record = ModelRecord(classes, contract, chain, "small", probe, "0", reliability, kind=kind)
    record.append_to(path)
    return path


def random_classifier(
    chain: str, path: Path, reliability: Reliabilities | None = None, kind: str = CLASS
) -> Path:
    """Give all of the head random weights, so that nothing in it is at its start."""
    model = build(chain, 3, scale=0.5, kind=kind)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.startswith("head_") and layer.weights:
            found = [rng.normal(size=weight.shape) for weight in layer.weights]
            pairs = zip(found, layer.weights, strict=True)
            layer.set_weights([abs(f) if "variance" in w.path else f for f, w in pairs])
    return write(model, chain, path, ("a", "b", "c"), reliability, kind)


def corner_images(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Dark noise with a bright patch in one corner, which is the class, uint8 (n, 32, 32, 3)."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), per_class)
    images = rng.integers(0, 90, (len(labels), SIDE, SIDE, 3), np.uint8)
    half = SIDE // 2
    for image, label in zip(images, labels, strict=True):
        top, left = (0 if label >= 2 else half), (half if label % 2 else 0)
        y, x = rng.integers(1, half - 9, 2)
        image[top + y : top + y + 8, left + x : left + x + 8] = rng.integers(200, 256, 3)
    return images, labels


def corner_classifier(chain: str, path: Path) -> Path:
    """Write ``flatten`` or ``gap``, fitted to the corners."""
    return write(corner_model(chain), chain, path, CORNERS)


def corner_model(chain: str) -> keras.Model:
    """Fit ``flatten`` or ``gap`` to the corners, by least squares with a penalty."""
    model = build(chain, 4)
    images, labels = corner_images(40, seed=1)
    kernel, bias = _least_squares(model, "head_softmax", images, 4 * np.eye(4)[labels] - 1)
    model.get_layer("head_softmax").set_weights([kernel, bias])
    return model


def _least_squares(
    model: keras.Model, last: str, images: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit the last layer with a penalty: kernel and bias."""
    small = model.get_layer("small")
    for name in ("conv_a", "conv_b"):
        # bright is positive and dark negative, so that the last ReLU leaves nothing of the dark
        layer = small.get_layer(name)
        layer.set_weights([np.abs(array) for array in layer.get_weights()])
    before = keras.Model(model.inputs, model.get_layer(last).input)
    x = np.asarray(before.predict(images.astype(np.float32), verbose=0), np.float64)
    middle, level = x.mean(axis=0), y.mean(axis=0)
    x = x - middle
    gram = x.T @ x
    penalty = 1e-2 * np.trace(gram) / len(gram)
    kernel = np.linalg.solve(gram + penalty * np.eye(len(gram)), x.T @ (y - level))
    return kernel, level - middle @ kernel


def corner_values(labels: np.ndarray, kind: str) -> np.ndarray:
    """Say of corner images which sides have the patch, or where its corner is, in centimetres."""
    top, right = labels >= 2, labels % 2 == 1
    if kind == LABELS:
        return np.stack([top, right], axis=1).astype(np.int8)
    return np.stack([np.where(right, 30.0, 10.0), np.where(top, -5.0, -9.0)], axis=1)


NAMES = {LABELS: ("top", "right"), NUMBER: ("x", "y")}
"""Of what :func:`corner_predictor` predicts."""


def corner_predictor(chain: str, path: Path, kind: str) -> Path:
    """Write ``flatten`` or ``gap``, fitted to the sides or the places of the corners."""
    model, last = build(chain, 2, kind=kind), f"head_{KINDS[kind].activation}"
    images, labels = corner_images(40, seed=1)
    y = corner_values(labels, kind).astype(np.float64)
    kernel, bias = _least_squares(model, last, images, 8 * y - 4 if kind == LABELS else y)
    model.get_layer(last).set_weights([kernel, bias])
    return write(model, chain, path, NAMES[kind], reliability_of(kind), kind)


def reliability_of(kind: str) -> LabelReliability | NumberReliability:
    """Make up what such a model knows of itself; no image is an outlier."""
    rng = np.random.default_rng(0)
    directions = np.linalg.qr(rng.normal(size=(6, 2)))[0].T.astype(np.float32)
    centres, spread = np.zeros((1, 2), np.float32), np.ones(2, np.float32)
    detector = OutlierDetector(np.zeros(6, np.float32), directions, spread, centres, 1.0, 50.0)
    if kind == LABELS:
        return LabelReliability(np.array([2.0, 0.5]), np.array([0.5, 0.4]), detector)
    return NumberReliability(0.9, np.array([4.0, 0.5]), detector)
