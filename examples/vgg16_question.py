"""A frozen VGG16 without its top, then Flatten and one softmax layer.

The second model of the original question, in plain Keras and with headfit::

    python examples/vgg16_question.py photos
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import headfit as hf
from common import parse_args, read_images

os.environ.setdefault("KERAS_BACKEND", "jax")  # comes with headfit


def build(classes: int, size: int, weights: str | None, pooling: str = "flatten") -> Any:
    """Build the model of the question, or the same model with ``gap`` instead of Flatten."""
    import keras  # noqa: PLC0415  (heavy)
    from keras import layers  # noqa: PLC0415

    backbone = keras.applications.VGG16(
        include_top=False, weights=weights, input_shape=(size, size, 3)
    )
    for layer in backbone.layers:
        layer.trainable = False
    pool = layers.Flatten() if pooling == "flatten" else layers.GlobalAveragePooling2D()
    x = pool(backbone.output)
    return keras.Model(backbone.input, layers.Dense(classes, activation="softmax")(x))


def plain_keras(folder: Path, size: int, weights: str, epochs: int) -> Any:
    """Train the model as usual: one head, one split, all images through the backbone each epoch."""
    import keras  # noqa: PLC0415  (heavy)

    images, labels, classes = read_images(folder, size)
    images = keras.applications.vgg16.preprocess_input(images)
    model = build(len(classes), size, None if weights == "random" else weights)
    print(f"Plain Keras: {model.count_params():,} parameters")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(images, labels, epochs=epochs, validation_split=0.2, verbose=0).history
    print(f"Accuracy on one fifth of the images: {history['val_accuracy'][-1]:.1%}")
    return model


def with_headfit(folder: Path, size: int, weights: str, protocol: str) -> hf.Study:
    """Compare Flatten with gap on the same feature maps and folds: is Flatten necessary?"""
    study = hf.compare(
        folder,
        backbone="VGG16",
        heads="vgg16-question,gap",
        weights=weights,
        size=size,
        protocol=protocol,
    )
    for head in study.results["candidates"]:
        mean, parameters = head["balanced_accuracy"]["mean"], head["parameters"]["total"]
        print(f"{head['name']}: {mean:.1%} balanced accuracy, {parameters:,} parameters")
    print(study.verdict)
    return study


def main(argv: Sequence[str] | None = None) -> None:
    """Run both on the same folder."""
    args = parse_args(__doc__ or "", argv)
    plain_keras(args.folder, args.size, args.weights, args.epochs)
    with_headfit(args.folder, args.size, args.weights, args.protocol)


if __name__ == "__main__":
    main()
