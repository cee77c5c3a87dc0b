"""MobileNet without its top, then global average pooling and three dense layers.

The first model of the original question, in plain Keras and with headfit::

    python examples/mobilenet_question.py photos

It trains all layers. Whether that pays is measured with ``--train-all``, which takes long on a CPU.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import headfit as hf
from common import parse_args, read_images

os.environ.setdefault("KERAS_BACKEND", "jax")  # comes with headfit


def build(classes: int, size: int, weights: str | None) -> Any:
    """Build the model of the question, with a frozen backbone."""
    import keras  # noqa: PLC0415  (heavy)
    from keras import layers  # noqa: PLC0415

    backbone = keras.applications.MobileNet(
        include_top=False, weights=weights, input_shape=(size, size, 3)
    )
    backbone.trainable = False
    x = layers.GlobalAveragePooling2D()(backbone.output)
    x = layers.Dense(1024, activation="relu")(x)
    x = layers.Dense(1024, activation="relu")(x)
    x = layers.Dense(512, activation="relu")(x)
    return keras.Model(backbone.input, layers.Dense(classes, activation="softmax")(x))


def plain_keras(folder: Path, size: int, weights: str, epochs: int) -> Any:
    """Train the model as usual: one head, one split, all images through the backbone each epoch."""
    import keras  # noqa: PLC0415  (heavy)

    images, labels, classes = read_images(folder, size)
    images = keras.applications.mobilenet.preprocess_input(images)
    model = build(len(classes), size, None if weights == "random" else weights)
    print(f"Plain Keras: {model.count_params():,} parameters")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(images, labels, epochs=epochs, validation_split=0.2, verbose=0).history
    print(f"Accuracy on one fifth of the images: {history['val_accuracy'][-1]:.1%}")
    return model


def with_headfit(folder: Path, size: int, weights: str, protocol: str) -> hf.Study:
    """Compare its head with Flatten and with gap alone, on the same feature maps and folds."""
    study = hf.compare(
        folder,
        backbone="MobileNet",
        heads="mobilenet-question,flatten,gap",
        weights=weights,
        size=size,
        protocol=protocol,
    )
    for head in study.results["candidates"]:
        mean, parameters = head["balanced_accuracy"]["mean"], head["parameters"]["total"]
        print(f"{head['name']}: {mean:.1%} balanced accuracy, {parameters:,} parameters")
    print(study.verdict)
    return study


def end_to_end(folder: Path, size: int, weights: str, epochs: int) -> hf.Study:
    """Train all layers, as the question does, and compare with the frozen backbone."""
    study = hf.finetune(
        folder,
        backbone="MobileNet",
        head="gap-1024-1024-512",
        unfreeze="all",
        weights=weights,
        size=size,
        epochs=epochs,
        folds=3,
        views=2,
    )
    for row in study.table():
        score, trained = row["balanced_accuracy"], row["parameters"]
        print(f"{row['head']}: {score:.1%} balanced accuracy, {trained:,} trained parameters")
    print(study.verdict)
    return study


def main(argv: Sequence[str] | None = None) -> None:
    """Run both on the same folder."""
    args = parse_args(__doc__ or "", argv, train_all=True)
    plain_keras(args.folder, args.size, args.weights, args.epochs)
    with_headfit(args.folder, args.size, args.weights, args.protocol)
    if args.train_all:
        end_to_end(args.folder, args.size, args.weights, args.epochs)


if __name__ == "__main__":
    main()
