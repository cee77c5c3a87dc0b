"""Tests whether a map is faithful: how the prediction changes when its positions are removed.

The cells of the map's grid are taken away from the image in the order of their contributions, the
largest first, and the probability of the class, or the number, is followed: *deletion*. *Insertion*
begins with nothing and puts them back in the same order. The area under each curve, a probability
or a number on average, is compared with those of random orders and of the order from the centre
outward: a true map has a smaller area under deletion and a larger one under insertion. Source:
Petsiuk 2018 (RISE).

Taken away means blurred, here, by a Gaussian as wide as a cell: grey squares are shapes that no
network has seen, and it would answer to their edges. What the network sees of a position reaches
beyond its cell, so that blurring the cell takes away most of it, not all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

STEPS = 12
DRAWS = 3
ORDERS = ("map", "random", "centre")
Predictions = Callable[[np.ndarray], npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Areas:
    """Areas under the curves of one image.

    Attributes:
        deletion: by the order's name, one of ``ORDERS``.
        insertion: likewise.
    """

    deletion: dict[str, float]
    insertion: dict[str, float]


def areas(
    image: np.ndarray,
    contributions: np.ndarray,
    target: int,
    predictions: Predictions,
    seed: int = 0,
) -> Areas:
    """Measure one map.

    Args:
        image: uint8 (height, width, 3), as the network takes it.
        contributions: float (H, W), each position's.
        target: which output.
        predictions: from uint8 (n, height, width, 3) to float (n, K).
        seed: of the random orders, of which the mean counts.
    """
    rng = np.random.default_rng(seed)
    grid = contributions.shape
    orders = [_largest_first(contributions)]
    orders += [rng.permutation(contributions.size) for _ in range(DRAWS)]
    orders += [_largest_first(_centredness(*grid))]
    counts = np.unique(np.linspace(0, contributions.size, STEPS + 1).round().astype(int))
    masks = np.concatenate([_masks(order, counts, grid, image.shape[:2]) for order in orders])
    blurred = _blurred(image, grid)
    # what one deletion leaves is what an insertion of the same cells puts back, and vice versa
    both = np.concatenate([masks, ~masks])
    variants = np.where(both[..., None], blurred, image)
    curves = predictions(variants)[:, target].reshape(2, len(orders), len(counts))
    under = np.asarray(np.trapezoid(curves, counts / contributions.size, axis=2))
    named = [
        {"map": float(row[0]), "random": float(row[1:-1].mean()), "centre": float(row[-1])}
        for row in under
    ]
    return Areas(*named)


def summary(measured: list[Areas], seed: int = 0) -> dict[str, Any]:
    """Average over images, as plain data.

    Returns:
        ``deletion`` and ``insertion``: of each order the mean area, and ``better_than_random``, the
        share of images on which the map's area is the better one; beside them the settings.
    """
    result: dict[str, Any] = {
        "images": len(measured),
        "steps": STEPS,
        "random_draws": DRAWS,
        "seed": seed,
        "replacement": "Gaussian blur as wide as a cell",
    }
    for kind, sign in (("deletion", -1), ("insertion", 1)):
        rows = [getattr(each, kind) for each in measured]
        better = [sign * (row["map"] - row["random"]) > 0 for row in rows]
        result[kind] = {order: float(np.mean([row[order] for row in rows])) for order in ORDERS}
        result[kind]["better_than_random"] = float(np.mean(better))
    return result


def _largest_first(values: np.ndarray) -> npt.NDArray[np.int64]:
    return np.argsort(-values.ravel(), kind="stable")


def _centredness(height: int, width: int) -> npt.NDArray[np.float64]:
    """Minus the distance from the middle, in halves of a side."""
    rows, columns = (np.abs(2 * np.arange(n) + 1 - n) / n for n in (height, width))
    distances: npt.NDArray[np.float64] = -np.hypot(rows[:, None], columns[None])
    return distances


def _masks(
    order: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    grid: tuple[int, ...],
    size: tuple[int, ...],
) -> npt.NDArray[np.bool_]:
    """Say which pixels belong to the first cells of an order, bool (counts, height, width)."""
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    cells = [np.arange(side) * n // side for side, n in zip(size, grid, strict=True)]
    pixels = ranks.reshape(grid)[np.ix_(*cells)]
    masks: npt.NDArray[np.bool_] = pixels[None] < counts[:, None, None]
    return masks


def _blurred(image: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    radius = max(side / n for side, n in zip(image.shape[:2], grid, strict=True))
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))
