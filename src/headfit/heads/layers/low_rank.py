"""Low-rank readout: for every class a few patterns of *where*, each for one mixture of *what*.

logit_k = mean_p Σ_r A_krp ⟨F_p, B_kr⟩, float (n, H, W, C) → (n, K): flatten's H×W×C weights of a
class as a sum of r = 4 outer products. A has a number for each position, B one for each channel, so
a head for K classes has Kr(P + C) weights and K biases; only the bias and the softmax follow.
Source: the separable classifier of Pirsiavash 2009 and the factorised readout of Klindt 2017, which
have rank 1 and a sparse A; here weight decay applies to B only.

The mean over p keeps the numbers of A about 1, which suits gradient descent. The initial weights
are the better of two on a held-out quarter of the images: those of gap, with A_1 = 1 and B_1 the
weights of a ridge regression on gap features (0 without images), the other A small noise and the
other B 0; or those of a ridge regression on whole maps, truncated to rank r. On 500 photographs of
ten hand signs, 5 folds, this raised balanced accuracy from 92.2 to 95.4 % (flatten: 94.8 %).

Gradient descent that starts from gap stays near gap: the patterns of *where* start as noise that
nothing guides. A ridge regression on whole maps costs one matrix of inner products of the images,
and the best approximation of its weights W_k (P×C) by r products is their singular value
decomposition (Eckart & Young 1936).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from headfit.errors import UsageError
from headfit.heads.pooling import Floats, MapShape, Vectors
from headfit.heads.ridge_start import (
    PENALTIES,
    Goal,
    Labels,
    Matrix,
    dual,
    held_out_ridge,
    quarter,
)
from headfit.heads.trained import Array, Sample, Shapes, TrainedPooling

NOISE = 0.1
# flatten has so many weights that smaller penalties than gap's may suit
FLATTEN_PENALTIES = (0.001, *PENALTIES)
BLOCK = 64 * 1024**2  # bytes of full weights at a time
MOST = 2048  # images: their inner products cost n², and initial weights need not be exact


@dataclass(frozen=True)
class LowRank(TrainedPooling):
    """A sum of products of a pattern over positions and a pattern over channels, class by class.

    Attributes:
        rank: r, at least 1.
    """

    arrays: ClassVar[Mapping[str, bool]] = {"places": False, "channels": True}
    readout: ClassVar[bool] = True
    data_start: ClassVar[bool] = True
    shifts: ClassVar[bool] = True
    rank: int = 4

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UsageError.invalid("rank", self.rank, "an integer of at least 1")

    def forward(self, xp: Any, maps: Array, weights: Sequence[Array]) -> Array:
        """Give logits (n, K) of maps (n, P, C) with A (K, r, P) and B (K, r, C)."""
        places, channels = weights
        classes, rank, positions = places.shape
        what = xp.transpose(xp.reshape(channels, (classes * rank, channels.shape[2])))
        where = xp.transpose(xp.reshape(places, (classes * rank, positions)))
        products = xp.mean(xp.matmul(maps, what) * where, axis=1)
        return xp.sum(xp.reshape(products, (-1, classes, rank)), axis=2)

    def multiplied(self, weights: Sequence[Floats], factors: Floats) -> Sequence[Floats]:
        """See :meth:`headfit.heads.trained.TrainedPooling.multiplied`."""
        places, channels = weights
        return places, channels * factors[:, None, None]

    def _width(self, map_shape: MapShape) -> int:
        return 0

    def _shapes(self, map_shape: MapShape, classes: int) -> Shapes:
        height, width, channels = map_shape
        return (classes, self.rank, height * width), (classes, self.rank, channels)

    def _initial(
        self, shapes: Shapes, rng: np.random.Generator, sample: Sample | None
    ) -> Sequence[Floats]:
        places, channels = rng.normal(0, NOISE, shapes[0]), np.zeros(shapes[1])
        places[:, 0] = 1
        if sample is None:
            return places, channels
        maps, goal = sample.maps, sample.goal
        split = quarter(len(maps), rng)
        averages, loss = held_out_ridge(maps.mean(axis=1), goal, split)
        channels[:, 0] = averages.T
        if not len(split[0]):
            return places, channels
        *patterns, flatten_loss = truncated_flatten(maps, goal, self.rank, split)
        return patterns if flatten_loss < loss else (places, channels)


def truncated_flatten(
    maps: Vectors, goal: Goal, rank: int, split: tuple[Labels, Labels]
) -> tuple[Matrix, Matrix, float]:
    """Fit flatten by ridge regression and truncate the weights of each class to r products.

    The penalty is that with the smallest loss of the full weights on held-out images, which needs
    no decomposition; the scale that with the smallest loss of the truncated ones. At most
    2,048 images are used.

    Args:
        maps: float32 (n, P, C), centred.
        goal: of the n images.
        rank: r.
        split: the held-out rows, at least 1, and the rest.

    Returns:
        A float64 (K, r, P), with numbers of about 1; B float64 (K, r, C); and the loss of the
        truncated weights on the held-out images.
    """
    held, fitted = (part[: max(1, MOST * len(part) // len(maps))] for part in split)
    rows = np.concatenate([held, fitted])
    maps, goal = maps[rows], goal.of(rows)
    held, fitted = np.split(np.arange(len(rows)), [len(held)])
    x = maps.reshape(len(maps), -1)
    gram, targets, judged = (x @ x.T).astype(np.float64), goal.encoded, goal.of(held)
    inner, across = gram[np.ix_(fitted, fitted)], gram[np.ix_(held, fitted)]
    duals = {penalty: dual(inner, targets[fitted], penalty) for penalty in FLATTEN_PENALTIES}
    losses = {p: judged.best_scale(across @ each)[1] for p, each in duals.items()}
    penalty = min(losses, key=losses.__getitem__)
    places, channels = _truncated(maps[fitted], duals[penalty], rank)
    outputs = np.stack(
        [
            np.sum((maps[held] @ what.T.astype(np.float32)) * where.T, axis=(1, 2))
            for where, what in zip(places, channels, strict=True)
        ],
        axis=1,
    )
    scale, loss = judged.best_scale(outputs / maps.shape[1])
    places, channels = _truncated(maps, dual(gram, targets, penalty), rank)
    return places, channels * scale, loss


def _truncated(maps: Vectors, duals: Matrix, rank: int) -> tuple[Matrix, Matrix]:
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


LOW_RANK = LowRank(
    "low_rank", "mean_p Σ_r A_krp ⟨F_p, B_kr⟩", "Pirsiavash 2009, Klindt 2017", position_aware=True
)
