"""The linear part of a top as matrices, and the conversions between its forms.

With F_p the C features at position p of P, a top computes K values

    flatten    Σ_p⟨W_pk, F_p⟩ + b_k
    gap        ⟨w_k, mean_p F_p⟩ + b_k                 W_pk = w_k / P
    low_rank   mean_p Σ_r A_krp⟨F_p, B_kr⟩ + b_k       W_k = Σ_r A_kr B_krᵀ / P, as P×C matrices
    shared     Σ_pr V_prk ⟨U_r, F_p⟩ + b_k             W_pk = Σ_r V_prk U_r

so each is a flatten with a structured W. gap → flatten only writes W out. flatten → gap keeps
w = Σ_p W_p: among all tops that average, it is the nearest to W, and its values are the mean of
the old ones over all permutations of the positions. The low ranks are truncated singular value
decompositions of each W_k, or of all W_k side by side with the channels as rows (C × PK); by Eckart
and Young no matrix of that rank is nearer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from headfit.errors import UsageError
from headfit.heads.layers.low_rank import LOW_RANK

NOISE = 1e-7  # of the largest singular value, whose square is known to 1e-16
ENERGY = 0.95
"""Share of ‖W‖² that the default rank keeps."""
AT_ONCE = 2**24  # numbers that are processed at once
Vectors = np.ndarray


@dataclass(frozen=True)
class Form:
    """The linear part of a top.

    Attributes:
        kind: ``"gap"``, ``"flatten"``, ``"low_rank"`` or ``"shared"``.
        arrays: float32: ``kernel`` (C, K), (PC, K) or (PR, K), and ``bias`` (K,). ``low_rank`` has
            ``places`` (K, R, P) and ``channels`` (K, R, C) instead of a kernel; ``shared`` also
            has ``basis`` (C, R).
        share: of ‖W‖² that remains.
        rank: R; None for gap and flatten.
    """

    kind: str
    arrays: dict[str, np.ndarray]
    share: float = 1.0
    rank: int | None = None

    @property
    def parameters(self) -> int:
        """Number of weights, including biases."""
        return sum(array.size for array in self.arrays.values())

    def numbers(self, maps: Vectors) -> Vectors:
        """Compute the K values of each map.

        Args:
            maps: float32 (n, P, C).

        Returns:
            float32 (n, K).
        """
        numbers: Vectors = _NUMBERS[self.kind](maps, self.arrays) + self.arrays["bias"]
        return numbers


def written_out(kind: str, kernel: np.ndarray, positions: int) -> np.ndarray:
    """Give W, (P, C, K), from the kernel of a gap, (C, K), or of a flatten, (PC, K)."""
    if kind == "gap":
        return np.broadcast_to(kernel / np.float32(positions), (positions, *kernel.shape))
    return kernel.reshape(positions, -1, kernel.shape[-1])


def to_flatten(w: np.ndarray, bias: np.ndarray) -> Form:
    """Use W as the kernel of a flatten."""
    kernel = np.ascontiguousarray(w).reshape(-1, w.shape[-1])
    return Form("flatten", {"kernel": kernel, "bias": bias})


def to_gap(w: np.ndarray, bias: np.ndarray) -> Form:
    """Keep the common part of all positions; exact if they are equal."""
    kernel = w.sum(axis=0, dtype=np.float64)
    total = _energy(w)
    share = float(np.square(kernel).sum() / len(w) / total) if total else 1.0
    return Form("gap", {"kernel": kernel.astype(np.float32), "bias": bias}, min(share, 1.0))


def to_low_rank(w: np.ndarray, bias: np.ndarray, rank: int | None) -> Form:
    """Decompose W_k of each class.

    Args:
        w: float32 (P, C, K).
        bias: float32 (K,).
        rank: R, the same for all classes; if None, the smallest that keeps 95 % of ‖W‖².

    Raises:
        UsageError: if R is larger than P or C.
    """
    positions, channels, classes = w.shape
    _check_rank(rank, min(positions, channels), "the smaller of positions and channels")
    step = max(1, AT_ONCE // (positions * channels))
    parts = [w[..., k : k + step].transpose(2, 0, 1) for k in range(0, classes, step)]
    energies = np.concatenate([_squares(part) for part in parts])
    total = energies.sum(axis=0)
    chosen = _rank(total) if rank is None else rank
    pairs = [_factors(part, chosen) for part in parts]
    places, directions = (np.concatenate([pair[i] for pair in pairs]) for i in (0, 1))
    arrays = {"places": places, "channels": directions, "bias": bias}
    return Form("low_rank", arrays, _share(total, chosen), chosen)


def to_shared(w: np.ndarray, bias: np.ndarray, rank: int | None) -> Form:
    """Find R mixtures of channels that all classes and positions share.

    Args:
        w: float32 (P, C, K).
        bias: float32 (K,).
        rank: R; if None, the smallest that keeps 95 % of ‖W‖².

    Raises:
        UsageError: if R is larger than C.
    """
    positions, channels, classes = w.shape
    _check_rank(rank, channels, "the number of channels")
    gram = np.zeros((channels, channels))
    for part in w:
        gram += part.astype(np.float64) @ part.T
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    chosen = _rank(values) if rank is None else rank
    basis = np.ascontiguousarray(vectors[:, :chosen], np.float32)
    kernel = np.ascontiguousarray(basis.T @ w).reshape(positions * chosen, classes)
    arrays = {"basis": basis, "kernel": kernel, "bias": bias}
    return Form("shared", arrays, _share(values, chosen), chosen)


def _squares(matrices: np.ndarray) -> np.ndarray:
    """Squared singular values of matrices (k, m, n), descending, float64 (k, min(m, n))."""
    squares: np.ndarray = np.maximum(np.linalg.eigvalsh(_gram(matrices))[:, ::-1], 0)
    return squares


def _factors(matrices: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Split W_k, (k, P, C), into A (k, R, P) of mean square 1 and B (k, R, C), float32."""
    wide = matrices.astype(np.float64)
    positions, channels = wide.shape[1:]
    if positions <= channels:
        left = np.linalg.eigh(_gram(wide))[1][:, :, ::-1][:, :, :rank]
    else:
        right = np.linalg.eigh(_gram(wide))[1][:, :, ::-1][:, :, :rank]
        left = wide @ right
        lengths = np.linalg.norm(left, axis=1, keepdims=True)
        # a matrix may lack directions, as that of gap lacks all but one: what is left is noise
        real = lengths > NOISE * lengths.max(axis=2, keepdims=True)
        left = np.divide(left, lengths, out=np.zeros_like(left), where=real)
    scale = math.sqrt(positions)
    left = left.transpose(0, 2, 1)
    return (scale * left).astype(np.float32), (scale * (left @ wide)).astype(np.float32)


def _gram(matrices: np.ndarray) -> np.ndarray:
    """Gram matrices over the longer side, float64."""
    wide = matrices.astype(np.float64)
    if wide.shape[1] > wide.shape[2]:
        wide = wide.transpose(0, 2, 1)
    return wide @ wide.transpose(0, 2, 1)


def _rank(energies: np.ndarray) -> int:
    """The smallest rank that keeps the share ``ENERGY``."""
    total = energies.sum()
    if total <= 0:
        return 1
    return 1 + int(np.argmax(np.cumsum(energies) >= ENERGY * total))


def _share(energies: np.ndarray, rank: int) -> float:
    total = float(energies.sum())
    return float(energies[:rank].sum() / total) if total else 1.0


def _energy(w: np.ndarray) -> float:
    return math.fsum(float(np.square(part, dtype=np.float64).sum()) for part in w)


def _check_rank(rank: int | None, most: int, what: str) -> None:
    if rank is not None and not 1 <= rank <= most:
        raise UsageError(f"`rank` must be from 1 to {most}, {what}. Received: rank={rank}.")


def _of_kernel(maps: Vectors, arrays: dict[str, np.ndarray]) -> Vectors:
    return np.asarray(maps.reshape(len(maps), -1) @ arrays["kernel"])


def _of_mean(maps: Vectors, arrays: dict[str, np.ndarray]) -> Vectors:
    return np.asarray(maps.mean(axis=1) @ arrays["kernel"])


def _of_factors(maps: Vectors, arrays: dict[str, np.ndarray]) -> Vectors:
    weights = arrays["places"], arrays["channels"]
    step = max(1, AT_ONCE // (weights[0].size or 1))
    parts = [maps[start : start + step] for start in range(0, len(maps), step)]
    return np.concatenate([LOW_RANK.forward(np, part, weights) for part in parts])


def _of_basis(maps: Vectors, arrays: dict[str, np.ndarray]) -> Vectors:
    return _of_kernel(maps @ arrays["basis"], arrays)


_NUMBERS: dict[str, Callable[[Vectors, dict[str, np.ndarray]], Vectors]] = {
    "gap": _of_mean,
    "flatten": _of_kernel,
    "low_rank": _of_factors,
    "shared": _of_basis,
}
