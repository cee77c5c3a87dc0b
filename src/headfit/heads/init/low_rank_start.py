"""Initial weights of a low-rank readout: the weights of a trained flatten, truncated to rank r.

Gradient descent that starts from gap stays near gap: the patterns of *where* start as noise that
nothing guides. A ridge regression on whole maps costs one matrix of inner products of the images,
and the best approximation of its weights W_k (P×C) by r products is their singular value
decomposition (Eckart & Young 1936).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headfit.heads.init.ridge_start import PENALTIES, Labels, Matrix, best_scale, dual, targets_of
from headfit.heads.pooling import Vectors

Floats = npt.NDArray[np.float64]
# flatten has so many weights that smaller penalties than gap's may suit
FLATTEN_PENALTIES = (0.001, *PENALTIES)
BLOCK = 64 * 1024**2  # bytes of full weights at a time
MOST = 2048  # images: their inner products cost n², and initial weights need not be exact


def truncated_flatten(
    maps: Vectors, labels: Labels, classes: int, rank: int, split: tuple[Labels, Labels]
) -> tuple[Floats, Floats, float]:
    """Fit flatten by ridge regression and truncate the weights of each class to r products.

    The penalty is that with the smallest log-loss of the full weights on held-out images, which
    needs no decomposition; the scale that with the smallest log-loss of the truncated ones. At most
    2,048 images are used.

    Args:
        maps: float32 (n, P, C), centred.
        labels: int (n,).
        classes: K.
        rank: r.
        split: the held-out rows, at least 1, and the rest.

    Returns:
        A float64 (K, r, P), with numbers of about 1; B float64 (K, r, C); and the log-loss of the
        truncated weights on the held-out images.
    """
    held, fitted = (part[: max(1, MOST * len(part) // len(maps))] for part in split)
    rows = np.concatenate([held, fitted])
    maps, labels = maps[rows], labels[rows]
    held, fitted = np.split(np.arange(len(rows)), [len(held)])
    x = maps.reshape(len(maps), -1)
    gram, targets = (x @ x.T).astype(np.float64), targets_of(labels, classes)
    inner, across = gram[np.ix_(fitted, fitted)], gram[np.ix_(held, fitted)]
    duals = {penalty: dual(inner, targets[fitted], penalty) for penalty in FLATTEN_PENALTIES}
    losses = {p: best_scale(across @ each, labels[held])[1] for p, each in duals.items()}
    penalty = min(losses, key=losses.__getitem__)
    places, channels = _truncated(maps[fitted], duals[penalty], rank)
    outputs = np.stack(
        [
            np.sum((maps[held] @ what.T.astype(np.float32)) * where.T, axis=(1, 2))
            for where, what in zip(places, channels, strict=True)
        ],
        axis=1,
    )
    scale, loss = best_scale(outputs / maps.shape[1], labels[held])
    places, channels = _truncated(maps, dual(gram, targets, penalty), rank)
    return places, channels * scale, loss


def _truncated(maps: Vectors, duals: Matrix, rank: int) -> tuple[Floats, Floats]:
    """Truncate the weights Σ_i duals_ik F_i to rank r, in the form mean_p Σ_r A_krp ⟨F_p, B_kr⟩."""
    n, positions, channels = maps.shape
    x, classes = maps.reshape(n, -1), duals.shape[1]
    where = np.zeros((classes, rank, positions))
    what = np.zeros((classes, rank, channels))
    step = max(1, BLOCK // (4 * positions * channels))
    count = min(rank, positions, channels)
    for start in range(0, classes, step):
        part = slice(start, start + step)
        whole = (duals[:, part].T.astype(np.float32) @ x).reshape(-1, positions, channels)
        left, sizes, right = np.linalg.svd(whole, full_matrices=False)
        where[part, :count] = np.sqrt(positions) * left[:, :, :count].transpose(0, 2, 1)
        what[part, :count] = np.sqrt(positions) * sizes[:, :count, None] * right[:, :count]
    return where, what
