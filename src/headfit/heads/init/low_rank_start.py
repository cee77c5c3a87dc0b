"""A low-rank readout that is nearly a trained flatten: its weights of each class, cut to rank r.

From gap, descent stays near gap: the patterns of *where* start as noise that nothing guides. A
ridge regression on whole maps costs one matrix of inner products of the images, and the best
approximation of its weights W_k (P×C) by r products is their singular value decomposition
(Eckart & Young 1936).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from headfit.heads.init.ridge_start import PENALTIES, Labels, Matrix, best_scale, dual, targets_of
from headfit.heads.pooling import Vectors

Floats = npt.NDArray[np.float64]
# flatten has so many weights that less than gap's penalties may serve
FLATTEN_PENALTIES = (0.001, *PENALTIES)
BLOCK = 64 * 1024**2  # bytes of whole weights at a time
MOST = 2048  # images: their inner products cost n², and a start need not be exact


def truncated_flatten(
    maps: Vectors, labels: Labels, classes: int, rank: int, split: tuple[Labels, Labels]
) -> tuple[Floats, Floats, float]:
    """Fit flatten by ridge regression and keep the first r products of each class.

    The penalty is the one with the least log-loss of whole weights on held-out images, which costs
    no decomposition; the scale that of the truncated ones. Of more than 2,048 images so many serve.

    Args:
        maps: float32 (n, P, C), centred.
        labels: int (n,).
        classes: K.
        rank: r.
        split: the rows that choose, at least 1, and the rest.

    Returns:
        A float64 (K, r, P), whose numbers are about 1; B float64 (K, r, C); and the log-loss of the
        truncated weights on the held-out images.
    """
    held, kept = (part[: max(1, MOST * len(part) // len(maps))] for part in split)
    rows = np.concatenate([held, kept])
    maps, labels = maps[rows], labels[rows]
    held, kept = np.split(np.arange(len(rows)), [len(held)])
    x = maps.reshape(len(maps), -1)
    gram, targets = (x @ x.T).astype(np.float64), targets_of(labels, classes)
    inner, across = gram[np.ix_(kept, kept)], gram[np.ix_(held, kept)]
    counts = {penalty: dual(inner, targets[kept], penalty) for penalty in FLATTEN_PENALTIES}
    losses = {p: best_scale(across @ found, labels[held])[1] for p, found in counts.items()}
    penalty = min(losses, key=losses.__getitem__)
    places, channels = _truncated(maps[kept], counts[penalty], rank)
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


def _truncated(maps: Vectors, counts: Matrix, rank: int) -> tuple[Floats, Floats]:
    """Cut the weights Σ_i counts_ik F_i to rank r, written as mean_p Σ_r A_krp ⟨F_p, B_kr⟩."""
    n, positions, channels = maps.shape
    x, classes = maps.reshape(n, -1), counts.shape[1]
    where = np.zeros((classes, rank, positions))
    what = np.zeros((classes, rank, channels))
    step = max(1, BLOCK // (4 * positions * channels))
    kept = min(rank, positions, channels)
    for start in range(0, classes, step):
        part = slice(start, start + step)
        whole = (counts[:, part].T.astype(np.float32) @ x).reshape(-1, positions, channels)
        left, sizes, right = np.linalg.svd(whole, full_matrices=False)
        where[part, :kept] = np.sqrt(positions) * left[:, :, :kept].transpose(0, 2, 1)
        what[part, :kept] = np.sqrt(positions) * sizes[:, :kept, None] * right[:, :kept]
    return where, what
