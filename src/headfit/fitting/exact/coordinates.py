"""A rotation in which every L2-penalised linear model is exact and quick to fit.

An L2-penalised linear model on centred features X (n, d) depends on them only through the Gram
matrix K = XXᵀ. With K = UΛUᵀ, the rows of Z = UΛ^½ give the same predictions as X for every
penalty, and have at most n columns: for Flatten's 62,720 features and 1,000 images, 1,000 instead.
Rows of Z do not depend on the fold, so one factorisation serves all folds, repeats and penalties.
Where d < n the same Z comes from the d×d matrix XᵀX. Features are centred over all images, which
changes no prediction because the intercept is not penalised, and divided by one number, so that
tr(ZᵀZ) = n and a penalty means the same for gap as for flatten.

Gram matrices are symmetric products in float32, summed a block of features at a time, and so is
their decomposition: each is checked against the matrix that it came from. Above 10,000 images a
Gram matrix and its decomposition would be too large; then the features are projected on those of
4,096 images (Nyström's method: Williams & Seeger 2001), which is an approximation and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import blas, eigh

from headfit.errors import EngineError
from headfit.fitting.threads import one_thread

# eigenvalues below this share of the largest are rounding: no model can use them
RANK_TOLERANCE = 1e-6
# of a decomposition, relative to the largest eigenvalue; float32 reaches some 1e-6
MAX_ERROR = 1e-4
# up to this size it is done in float64, which costs next to nothing there
SMALL = 512
EXACT_IMAGES = 10_000
LANDMARKS = 4096
BLOCK = 1024  # features of a block
Chunks = Callable[[], Iterator[tuple[slice, np.ndarray]]]


@dataclass(frozen=True)
class Coordinates:
    """Rotated features of n images and the way back.

    Attributes:
        z: float32 (n, r), columns orthogonal, tr(ZᵀZ) = n.
        moments: float64 (r,), the mean square of each column, largest first; they sum to 1.
        mean: float64 (d,), the features' mean, taken off before the rotation.
        basis: maps weights (r, m) of Z to weights (d, m) of the centred features.
        variance_share: of the features' variance that Z holds; 1 unless it is an approximation.
    """

    z: np.ndarray
    moments: np.ndarray
    mean: np.ndarray
    basis: Callable[[np.ndarray], np.ndarray]
    variance_share: float = 1.0

    def leading(self, few: int) -> Coordinates:
        """Keep the leading columns; there is no way back then."""
        return replace(self, z=self.z[:, :few], moments=self.moments[:few])

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


def blocks_of(features: np.ndarray) -> Iterator[np.ndarray]:
    """Cut features (n, d) into blocks of columns."""
    for start in range(0, features.shape[1], BLOCK):
        yield features[:, start : start + BLOCK]


def of_features(features: np.ndarray) -> Coordinates:
    """Rotate features that fit in memory.

    Args:
        features: float32 (n, d), pooled maps.
    """
    n, d = features.shape
    if d >= n:
        return of_blocks(blocks_of(features), n, lambda: iter([(slice(0, n), features)]))
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean.astype(np.float32)
    values, vectors = _eigen(_product(centred))
    scale = _scale(values, n)
    z = centred @ vectors
    z /= np.float32(scale)
    return Coordinates(z, values / (n * scale**2), mean, lambda kernel: vectors @ kernel / scale)


def of_blocks(
    blocks: Iterable[np.ndarray],
    n: int,
    chunks: Chunks,
    *,
    exact: int = EXACT_IMAGES,
    landmarks: int = LANDMARKS,
) -> Coordinates:
    """Rotate features that need never be in memory together.

    Args:
        blocks: yields them once, float32 (n, c), some features at a time, in order.
        n: number of images.
        chunks: yields them as (rows, (rows, d)), some images at a time; called only for the way
            back.
        exact: up to so many images the result is exact, above it is approximate.
        landmarks: how many images span the approximation.
    """
    if n > exact:
        return _of_landmarks(blocks, n, chunks, landmarks)
    return of_gram(*centred_gram(blocks, n), chunks)


def of_gram(gram: np.ndarray, mean: np.ndarray, chunks: Chunks) -> Coordinates:
    """Rotate features that are known by their Gram matrix.

    Args:
        gram: of the centred features, float32 (n, n), the lower triangle; overwritten.
        mean: float64 (d,).
        chunks: see :func:`of_blocks`.
    """
    n = len(gram)
    values, vectors = _eigen(gram)
    scale = _scale(values, n)
    z = vectors
    z *= (np.sqrt(values) / scale).astype(np.float32)

    def basis(kernel: np.ndarray) -> np.ndarray:
        # X_cᵀ U Λ^-½ kernel divided by the scale, in terms of Z
        return _weighed(chunks, mean, z @ (kernel / values[:, None]))

    return Coordinates(z, values / (n * scale**2), mean, basis)


def centred_gram(blocks: Iterable[np.ndarray], n: int) -> tuple[np.ndarray, np.ndarray]:
    """Sum the Gram matrix of the centred features, a block of them at a time.

    Returns:
        The lower triangle of the Gram matrix, float32 (n, n), and the mean, float64 (d,).
    """
    total = np.zeros((n, n), np.float32, order="F")
    means = []
    for block in blocks:
        mean = block.mean(axis=0, dtype=np.float64)
        means.append(mean)
        total = _product((block - mean.astype(np.float32)).T, total)
    return total, np.concatenate(means)


def _of_landmarks(
    blocks: Iterable[np.ndarray], n: int, chunks: Chunks, landmarks: int
) -> Coordinates:
    """Project centred features on those of some images.

    With C = X X_Lᵀ and K_L = X_L X_Lᵀ = VΣVᵀ, the rows of C V Σ^-½ have the Gram matrix of the
    projected features; a second rotation makes its columns orthogonal.
    """
    chosen = np.sort(np.random.default_rng(0).choice(n, min(landmarks, n), replace=False))
    cross = np.zeros((n, len(chosen)), np.float32)
    means, squares = [], 0.0
    for block in blocks:
        mean = block.mean(axis=0, dtype=np.float64)
        means.append(mean)
        centred = block - mean.astype(np.float32)
        squares += float(np.vdot(centred, centred))
        cross += centred @ centred[chosen].T
    mean = np.concatenate(means)
    values, vectors = _eigen(np.asfortranarray(cross[chosen]))
    vectors /= np.sqrt(values).astype(np.float32)
    projected = cross @ vectors
    moments, turn = _eigen(_product(projected))
    scale = _scale(moments, n)
    z = projected @ turn
    z /= np.float32(scale)

    def basis(kernel: np.ndarray) -> np.ndarray:
        dual = np.zeros((n, kernel.shape[1]))
        dual[chosen] = vectors @ (turn @ kernel) / scale
        return _weighed(chunks, mean, dual)

    share = float(moments.sum() / squares) if squares else 1.0
    return Coordinates(z, moments / (n * scale**2), mean, basis, min(share, 1.0))


def _weighed(chunks: Chunks, mean: np.ndarray, dual: np.ndarray) -> np.ndarray:
    """Sum the centred features of all images, given raw, with weights (n, m): float64 (d, m)."""
    raw = -np.outer(mean, dual.sum(axis=0))
    for rows, piece in chunks():
        raw += piece.reshape(len(piece), -1).T @ dual[rows].astype(np.float32)
    return raw


def _product(a: np.ndarray, total: np.ndarray | None = None) -> np.ndarray:
    """AᵀA, float32, added to ``total``; half the work of a general product by symmetry.

    Only the lower triangle is filled: nobody reads the other, and LAPACK decomposes a matrix four
    times as fast from the lower one.
    """
    fortran = np.asfortranarray(a, dtype=np.float32)
    if total is None:
        total = np.zeros((a.shape[1], a.shape[1]), np.float32, order="F")
    result: np.ndarray = blas.ssyrk(
        1.0, fortran, beta=1.0, c=total, trans=1, lower=1, overwrite_c=1
    )
    return result


def _eigen(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decompose a matrix that is known by its lower triangle, float32 (m, m), and overwrite it.

    Returns:
        Eigenvalues above rounding, float64, largest first, and their vectors, float32 (m, r).

    Raises:
        EngineError: if the decomposition is not that of the matrix.
    """
    probe = np.random.default_rng(0).standard_normal((len(symmetric), 2)).astype(np.float32)
    wanted = blas.ssymm(1.0, symmetric, probe, lower=1)
    exact = np.float64 if len(symmetric) <= SMALL else np.float32
    with one_thread():
        values, vectors = eigh(
            symmetric.astype(exact, copy=False),
            lower=True,
            driver="evd",
            overwrite_a=True,
            check_finite=False,
        )
    error = np.abs(vectors @ (values[:, None] * (vectors.T @ probe)) - wanted).max()
    largest = max(float(values[-1]), float(np.finfo(np.float32).tiny))
    if not error <= MAX_ERROR * largest:
        raise EngineError(
            f"The eigenvalues of the features are wrong (by {error:.2g}, the largest is "
            f"{largest:.2g}): this installation of numpy and scipy does not compute correctly."
        )
    large = values > RANK_TOLERANCE * largest
    # one copy, turned around: it may be as large as the matrix
    vectors = np.ascontiguousarray(vectors[:, ::-1][:, : int(large.sum())], np.float32)
    return values[large][::-1].astype(np.float64), vectors


def _scale(values: np.ndarray, n: int) -> float:
    """The number that features are divided by so that tr(ZᵀZ) = n."""
    return float(np.sqrt(values.sum() / n)) or 1.0
