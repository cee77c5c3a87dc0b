"""Shared by the examples: command line arguments, and images as arrays for plain Keras."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def parse_args(
    description: str, argv: Sequence[str] | None, size: int = 224, *, train_all: bool = False
) -> argparse.Namespace:
    """Parse ``folder``, ``weights``, ``size``, ``epochs``, ``protocol``, perhaps ``train_all``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path, help="images, one sub-folder for each class")
    parser.add_argument("--weights", default="imagenet", help="imagenet, random or a weights file")
    parser.add_argument("--size", type=int, default=size, help="side of the images in pixels")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of a training")
    parser.add_argument("--protocol", default="quick", help="quick, standard or thorough")
    if train_all:
        words = "train all layers too, and see whether that pays"
        parser.add_argument("--train-all", action="store_true", help=words)
    return parser.parse_args(argv)


def read_images(folder: Path, size: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Read a folder of images with Keras, shuffled with a fixed seed.

    Returns:
        Pixels float32 (n, size, size, 3) from 0 to 255, labels int (n,), and class names.
    """
    import keras  # noqa: PLC0415  (heavy)

    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    files = [path for name in classes for path in sorted((folder / name).iterdir())]
    pixels = [
        keras.utils.img_to_array(
            keras.utils.load_img(path, target_size=(size, size), interpolation="bilinear")
        )
        for path in files
    ]
    labels = np.array([classes.index(path.parent.name) for path in files])
    order = np.random.default_rng(0).permutation(len(files))
    return np.stack(pixels)[order], labels[order], classes
