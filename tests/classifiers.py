"""Small classifiers as headfit writes them, with heads of random weights or fitted to corners."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

import small_models
from headfit.backbones.engines.interface import probe_images
from headfit.heads.chain import parse_head
from headfit.images.contract import Contract
from headfit.model.metadata import ModelRecord
from headfit.study.reliability.model_reliability import ModelReliability

SIDE = 32
CORNERS = ("bottom left", "bottom right", "top left", "top right")


def build(chain: str, classes: int, scale: float = 1.0) -> keras.Model:
    """Pixels to probabilities: 8×8 positions of 6 channels, then the head."""
    keras.utils.set_random_seed(0)
    images = keras.Input((SIDE, SIDE, 3), name="images")
    pixels = keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocessing")(images)
    maps = small_models.backbone(side=SIDE)(pixels, training=False)
    head = parse_head(chain)
    outputs = head.build(maps, classes, None, "channels_last", scale)
    return keras.Model(images, outputs, name="headfit_classifier")


def write(
    model: keras.Model,
    chain: str,
    path: Path,
    classes: tuple[str, ...],
    reliability: ModelReliability | None = None,
) -> Path:
    """Save a classifier with its record."""
    model.save(path)
    contract = Contract(SIDE, SIDE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    p = np.asarray(model.predict(probe_images(SIDE, SIDE).astype(np.float32), verbose=0))
    probe = tuple(tuple(map(float, row)) for row in p)
    ModelRecord(classes, contract, chain, "small", probe, "0", reliability).append_to(path)
    return path


def random_classifier(chain: str, path: Path, reliability: ModelReliability | None = None) -> Path:
    """Give all of the head random weights, so that nothing in it is at its start."""
    model = build(chain, 3, scale=0.5)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.startswith("head_") and layer.weights:
            found = [rng.normal(size=weight.shape) for weight in layer.weights]
            pairs = zip(found, layer.weights, strict=True)
            layer.set_weights([abs(f) if "variance" in w.path else f for f, w in pairs])
    return write(model, chain, path, ("a", "b", "c"), reliability)


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
    small = model.get_layer("small")
    for name in ("conv_a", "conv_b"):
        # bright is positive and dark negative, so that the last ReLU leaves nothing of the dark
        layer = small.get_layer(name)
        layer.set_weights([np.abs(array) for array in layer.get_weights()])
    images, labels = corner_images(40, seed=1)
    before = keras.Model(model.inputs, model.get_layer("head_softmax").input)
    x = np.asarray(before.predict(images.astype(np.float32), verbose=0), np.float64)
    middle = x.mean(axis=0)
    x, y = x - middle, 4 * (np.eye(4)[labels] - 0.25)
    gram = x.T @ x
    penalty = 1e-2 * np.trace(gram) / len(gram)
    kernel = np.linalg.solve(gram + penalty * np.eye(len(gram)), x.T @ y)
    model.get_layer("head_softmax").set_weights([kernel, -middle @ kernel])
    return model
