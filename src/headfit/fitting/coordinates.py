"""A rotation in which every L2-penalised linear model is exact and quick to fit.

An L2-penalised linear model on centred features X (n, d) depends on them only through the Gram
matrix K = XXᵀ. With K = UΛUᵀ, the rows of Z = UΛ^½ give the same predictions as X for every
penalty, and have at most n columns: for Flatten's 62,720 features and 1,000 images, 1,000 instead.
Rows of Z do not depend on the fold, so one factorisation serves all folds, repeats and penalties.
Where d < n the same Z comes from the d×d matrix XᵀX. Features are centred over all images, which
changes no prediction because the intercept is not penalised, and divided by one number, so that
tr(ZᵀZ) = n and a penalty means the same for gap as for flatten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import blas, eigh

# eigenvalues below this share of the largest are rounding: no model can use them
RANK_TOLERANCE = 1e-7
Chunks = Callable[[], Iterator[tuple[slice, np.ndarray]]]


@dataclass(frozen=True)
class Coordinates:
    """Rotated features of n images and the way back.

    Attributes:
        z: float64 (n, r), columns orthogonal, tr(ZᵀZ) = n.
        moments: float64 (r,), the mean square of each column, largest first; they sum to 1.
        mean: float64 (d,), the features' mean, taken off before the rotation.
        basis: maps weights (r, m) of Z to weights (d, m) of the centred features.
    """

    z: np.ndarray
    moments: np.ndarray
    mean: np.ndarray
    basis: Callable[[np.ndarray], np.ndarray]

    def to_features(self, kernel: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Write a linear map of Z as one of the features themselves.

        Args:
            kernel: (r, m).
            bias: (m,).

        Returns:
            Kernel float64 (d, m) and bias float64 (m,) that give the same from raw features.
        """
        raw = self.basis(np.asarray(kernel, np.float64))
        return raw, np.asarray(bias, np.float64) - self.mean @ raw


def of_features(features: np.ndarray) -> Coordinates:
    """Rotate features that fit in memory.

    Args:
        features: float32 (n, d), pooled maps.
    """
    n, d = features.shape
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean.astype(np.float32)
    if d >= n:
        return of_gram(_product(centred.T), mean, lambda: iter([(slice(0, n), features)]))
    values, vectors = _eigen(_product(centred))
    scale = _scale(values, n)
    z = (centred @ vectors.astype(np.float32)).astype(np.float64) / scale
    return Coordinates(z, values / (n * scale**2), mean, lambda kernel: vectors @ kernel / scale)


def of_gram(gram: np.ndarray, mean: np.ndarray, chunks: Chunks) -> Coordinates:
    """Rotate features that are known by their centred Gram matrix.

    Args:
        gram: (n, n), XXᵀ of the centred features.
        mean: float64 (d,).
        chunks: yields the raw features in pieces (rows, (rows, d)); called on the way back only.
    """
    n = len(gram)
    values, vectors = _eigen(gram)
    scale = _scale(values, n)
    roots = np.sqrt(values)
    z = vectors * (roots / scale)

    def basis(kernel: np.ndarray) -> np.ndarray:
        # X_cᵀ U Λ^-½ kernel, divided by the scale; U's columns sum to 0, but not to the last bit
        dual = vectors @ (kernel / roots[:, None]) / scale
        dual -= dual.mean(axis=0)
        raw = np.zeros((len(mean), kernel.shape[1]))
        for rows, piece in chunks():
            raw += piece.reshape(len(piece), -1).T @ dual[rows].astype(np.float32)
        return raw

    return Coordinates(z, values / (n * scale**2), mean, basis)


def position_gram(
    positions: Iterator[np.ndarray], progress: Callable[[], None] = lambda: None
) -> tuple[np.ndarray, np.ndarray]:
    """Sum the centred Gram matrices of all positions of the map: flatten's Gram matrix.

    Args:
        positions: features at each position in row-major order, float32 (n, C).
        progress: called after each position.

    Returns:
        The Gram matrix, float32 (n, n), and the mean, float64 (positions·C,).
    """
    total: np.ndarray | None = None
    means = []
    for values in positions:
        mean = values.mean(axis=0, dtype=np.float64)
        means.append(mean)
        total = _product((values - mean.astype(np.float32)).T, total)
        progress()
    if total is None:
        raise ValueError("no positions")
    return total, np.concatenate(means)


def _product(a: np.ndarray, total: np.ndarray | None = None) -> np.ndarray:
    """AᵀA, float32, added to ``total``; half the work of a general product by symmetry.

    Only the upper triangle is filled: :func:`_eigen` reads no other.
    """
    fortran = np.asfortranarray(a, dtype=np.float32)
    if total is None:
        total = np.zeros((a.shape[1], a.shape[1]), np.float32, order="F")
    result: np.ndarray = blas.ssyrk(1.0, fortran, beta=1.0, c=total, trans=1, overwrite_c=1)
    return result


def _eigen(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues above rounding, largest first, and their vectors, from an upper triangle."""
    values, vectors = eigh(
        symmetric.astype(np.float64),
        lower=False,
        driver="evd",
        overwrite_a=True,
        check_finite=False,
    )
    kept = values > RANK_TOLERANCE * max(values[-1], np.finfo(np.float64).tiny)
    return values[kept][::-1].copy(), np.ascontiguousarray(vectors[:, kept][:, ::-1])


def _scale(values: np.ndarray, n: int) -> float:
    """The number that features are divided by so that tr(ZᵀZ) = n."""
    return float(np.sqrt(values.sum() / n)) or 1.0
