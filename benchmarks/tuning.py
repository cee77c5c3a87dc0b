"""Contestants of ``finetune.py``: an epoch of training."""

from __future__ import annotations

from typing import Any

import numpy as np
from interleave import Work

CLASSES, BATCH = 2, 32


def headfit_epoch(*, backbone: str, size: int, images: int, unfreeze: str) -> Work:
    """Train a part from the maps before it, as a fold of a run does."""
    from headfit.backbones.build import build
    from headfit.backbones.catalog import find
    from headfit.backbones.stages import starting_at, tail
    from headfit.finetuning.recipe import Recipe
    from headfit.finetuning.training import Task, Trainer
    from headfit.heads.chain import parse_head
    from headfit.images.targets import Targets

    model = build(find(backbone), size, "imagenet")
    part = tail(model, starting_at(model, unfreeze))
    inputs = _Drawn(images, part.input_shape[1:])
    channels = part.output_shape[-1]
    trainer = Trainer(part, parse_head("gap"), CLASSES, Recipe(epochs=1, batch_size=BATCH))
    head = (np.zeros((channels, CLASSES), np.float32), np.zeros(CLASSES, np.float32))
    targets = Targets(("a", "b"), np.arange(images) % CLASSES)

    def work() -> float:
        trainer.train(Task(inputs, targets, np.arange(images), head, 1e-4, 1))
        return images // BATCH * BATCH

    return work


def keras_epoch(*, backbone: str, size: int, images: int, unfreeze: str) -> Work:
    """Train the same layers as Keras' guide to fine-tuning does."""
    import keras

    from headfit.backbones.build import build
    from headfit.backbones.catalog import find
    from headfit.backbones.stages import starting_at, tail

    frozen = build(find(backbone), size, "imagenet")
    trained = {layer.name for layer in tail(frozen, starting_at(frozen, unfreeze)).layers}
    frozen.trainable = True
    for layer in frozen.layers:
        layer.trainable = layer.name in trained
    pixels = keras.Input((size, size, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(frozen(pixels, training=False))
    model = keras.Model(pixels, keras.layers.Dense(CLASSES, "softmax")(pooled))
    model.compile(keras.optimizers.AdamW(1e-4), "sparse_categorical_crossentropy")
    drawn = _Drawn(images, (size, size, 3))
    x = drawn.take(np.arange(images), np.zeros(images, int))
    y = np.arange(images) % CLASSES

    def work() -> float:
        model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0)
        return images

    return work


class _Drawn:
    """Maps of noise in half precision, as a store holds them."""

    views = 1

    def __init__(self, images: int, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(0)
        self._maps = rng.random((images, *shape), np.float32).astype(np.float16)

    def take(self, images: Any, views: Any) -> np.ndarray:
        """Give some of them in single precision."""
        del views
        taken: np.ndarray = self._maps[images].astype(np.float32)
        return taken
