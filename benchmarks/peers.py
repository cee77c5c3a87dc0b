"""What a user would write instead of ``headfit.compare``: the peers of ``study.py``.

Each does a small part of the work, on one outer fold, and says how long it took; the next round
takes the next fold. ``study.py`` multiplies.
"""

from __future__ import annotations

import itertools
import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from interleave import Work

BATCH = 32
WARM_STEPS = 2
MAX_ITER = 1000


def keras_every_epoch(folder: str, backbone: str, weights: str, steps: int) -> Work:
    """Keras ``fit`` of a gap head on the frozen model, the backbone run in every step."""
    import keras
    from contestants import from_pixels, shape_of

    data: Any = keras.utils.image_dataset_from_directory(
        Path(folder) / "train",
        image_size=shape_of(backbone)[:2],
        batch_size=BATCH,
        seed=0,
        verbose=False,
    )
    frozen = from_pixels(backbone, weights)
    vectors = keras.layers.GlobalAveragePooling2D()(frozen.output)
    classes = len(data.class_names)
    model = keras.Model(frozen.inputs, keras.layers.Dense(classes, "softmax")(vectors))
    model.compile("adam", "sparse_categorical_crossentropy")
    endless = data.repeat()
    model.fit(endless, steps_per_epoch=WARM_STEPS, verbose=0)  # traced and compiled

    def work() -> tuple[int, dict[str, Any]]:
        start = time.perf_counter()
        model.fit(endless, steps_per_epoch=steps, verbose=0)
        return steps, {"step": (time.perf_counter() - start) / steps}

    return work


def scikit_learn(
    maps: str, splits: str, head: str, inner: list[list[int]], penalties: list[float]
) -> Work:
    """``LogisticRegression`` on kept features: a nested search for one outer fold.

    The inner folds of each outer fold are those of ``inner``: headfit's, or some of them.
    Features are centred and divided by one number, so that a penalty means what it means to
    headfit: C = 1 / (n λ).
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score, log_loss

    features, labels, assignment = _scaled(_pooled(maps, head)), *_splits(splits)
    turns = itertools.cycle(range(int(assignment.max()) + 1))
    classes = np.unique(labels)

    def fit(rows: np.ndarray, penalty: float) -> Any:
        model = LogisticRegression(C=1 / (rows.sum() * penalty), max_iter=MAX_ITER)
        with warnings.catch_warnings(action="ignore"):
            return model.fit(features[rows], labels[rows])

    def work() -> tuple[int, dict[str, Any]]:
        outer = next(turns)
        losses = np.zeros(len(penalties))
        start = time.perf_counter()
        for held, (number, penalty) in itertools.product(inner[outer], enumerate(penalties)):
            model = fit((assignment != outer) & (assignment != held), penalty)
            rows = assignment == held
            losses[number] += log_loss(
                labels[rows], model.predict_proba(features[rows]), labels=classes
            )
        middle = time.perf_counter()
        model = fit(assignment != outer, penalties[int(losses.argmin())])
        end = time.perf_counter()
        rows = assignment == outer
        score = balanced_accuracy_score(labels[rows], model.predict(features[rows]))
        details = {"inner": (middle - start) / len(inner[outer]), "outer": end - middle}
        return 1, {**details, "fold": outer, "score": float(score)}

    return work


def keras_fit(maps: str, splits: str, head: str, epochs: int) -> Work:
    """Keras ``fit`` of a softmax layer on kept features: one outer fold, no penalty to choose."""
    import keras
    from sklearn.metrics import balanced_accuracy_score

    features, labels, assignment = _pooled(maps, head), *_splits(splits)
    turns = itertools.cycle(range(int(assignment.max()) + 1))
    classes = int(labels.max()) + 1

    def work() -> tuple[int, dict[str, Any]]:
        outer = next(turns)
        train, rows = assignment != outer, assignment == outer
        keras.utils.set_random_seed(0)
        start = time.perf_counter()
        model = keras.Sequential([keras.layers.Dense(classes, "softmax")])
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(features[train], labels[train], BATCH, epochs, verbose=0)
        seconds = time.perf_counter() - start
        found = model.predict(features[rows], verbose=0).argmax(axis=1)
        score = balanced_accuracy_score(labels[rows], found)
        return 1, {"fit": seconds, "fold": outer, "score": float(score)}

    return work


def features(folder: str, backbone: str, weights: str, out: str) -> Work:
    """Write the maps of a folder's images, float32 (n, H, W, C), for the peers."""
    from contestants import contract_of, engine

    from headfit.images.decode import decode
    from headfit.images.index import ImageIndex

    index, contract = ImageIndex.from_directory(folder), contract_of(backbone)

    def work() -> int:
        files = [index.read_bytes(number) for number in range(len(index))]
        images = np.stack([decode(data, contract.height, contract.width) for data in files])
        np.save(out, np.concatenate(list(engine(backbone, weights)(images))))
        return len(files)

    return work


def _pooled(maps: str, head: str) -> np.ndarray:
    from headfit.heads.chain import parse_head

    os.environ.setdefault("KERAS_BACKEND", "jax")
    return parse_head(head).pooling.pool(np.load(maps, mmap_mode="r"))


def _scaled(features: np.ndarray) -> np.ndarray:
    centred = features - features.mean(axis=0)
    return centred / np.sqrt(np.vdot(centred, centred) / len(centred))


def _splits(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels and the folds of the first repeat."""
    kept = np.load(path)
    return kept["labels"], kept["folds"][0]
