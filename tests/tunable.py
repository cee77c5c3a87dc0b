"""A tiny backbone of three stages that fine-tuning can improve, and images for it."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from keras import layers
from PIL import Image

SIDE = 32
CLASSES = ("blob", "checks", "stripes")
STARTS = ("", "relu0", "relu1")  # of its stages
NOISE = 60


def network(dropout: float = 0.0, channels: tuple[int, int, int] = (6, 8, 12)) -> keras.Model:
    """32×32×3 to 4×4×12 in three stages of random kernels; preprocessing is ``tf``."""
    image = keras.Input((SIDE, SIDE, 3))
    x = image
    for number, width in enumerate(channels):
        x = layers.Conv2D(width, 3, 2, "same", use_bias=False, name=f"conv{number}")(x)
        x = layers.BatchNormalization(name=f"norm{number}")(x)
        x = layers.ReLU(name=f"relu{number}")(x)
        if dropout and number == 2:
            x = layers.Dropout(dropout, name="drop")(x)
    model = keras.Model(image, x, name="tiny")
    rng = np.random.default_rng(0)
    for number in range(3):
        kernel = model.get_layer(f"conv{number}").kernel
        kernel.assign(rng.normal(size=kernel.shape) * np.sqrt(3 / np.prod(kernel.shape[:3])))
    return model


def small() -> keras.Model:
    """Half as wide; a builder as users write them."""
    return network(channels=(3, 4, 6))


def save(path: Path, dropout: float = 0.0) -> Path:
    """Save it as people do, with a head of another task."""
    model = network(dropout)
    outputs = layers.Dense(7, name="last")(layers.GlobalAveragePooling2D(name="pool")(model.output))
    keras.Model(model.input, outputs, name="tiny").save(path)
    return path


def draw(kind: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a grey picture: a blob, checks or stripes, in noise; uint8 (40, 40, 3)."""
    y, x = np.indices((40, 40)) + rng.integers(0, 8, (2, 1, 1))
    distance = np.hypot(y - rng.uniform(16, 32), x - rng.uniform(16, 32))
    shape = [distance < rng.uniform(8, 13), (y // 4 + x // 4) % 2, (y + x) // 4 % 2][kind]
    value = 128 + 70 * (np.asarray(shape, float) - 0.5)[..., None]
    return (value + rng.normal(0, NOISE, (40, 40, 3))).clip(0, 255).astype(np.uint8)


def write_folder(folder: Path, per_class: int, *, seed: int = 0, split: str = "") -> Path:
    """Write pictures of each class, below a split folder if one is named."""
    rng = np.random.default_rng(seed)
    for kind, name in enumerate(CLASSES):
        target = folder / split / name
        target.mkdir(parents=True)
        for number in range(per_class):
            Image.fromarray(draw(kind, rng)).save(target / f"{number:02}.png")
    return folder
