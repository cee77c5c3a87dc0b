"""Ridge regression on the classes, left out image by image, for many penalties at once.

With centred features X (n, d), targets Y (n, K; one column a class) and an intercept that is not
penalised, ridge fits Ŷ = HY with H = 11ᵀ/n + X(XᵀX + μI)⁻¹Xᵀ. A model that never saw the images S
leaves on them the residuals (I − H_SS)⁻¹ (Y − Ŷ)_S: exact, by the block-inverse identity, for one
image as for a group of copies. With XᵀX = VΛVᵀ and Z = XV this is H = 11ᵀ/n + Z(Λ + μI)⁻¹Zᵀ, so one
decomposition serves all penalties (scikit-learn's RidgeCV does this for single images, not for
groups): of the d×d matrix if d < n, else of the Gram matrix XXᵀ = UΛUᵀ with Z = UΛ^½. All of it is
in float64; rows of Z are made a block at a time.

Penalties are relative, μ = λ·tr(XXᵀ): λ is the penalty beside the *mean* squared error for features
whose mean square norm is one, as everywhere in headfit. The penalty is chosen by the squared error
of the images left out, which is smooth, and not by how many are right, which is not.

Without an image its class is a little rarer. Where features say nothing and classes are equally
large, each model would therefore prefer every other class, and be right of none. So the class is
decided at the same intercept for all images, the class shares of the whole, to which a model adds
what it says of the image beyond the shares that it saw.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from headfit.errors import DataError, EngineError, UsageError
from headfit.fitting.kinds import KINDS
from headfit.fitting.threads import one_thread
from headfit.images.targets import Targets

Floats = npt.NDArray[np.float64]
# relative, from large to small, three to a decade
PENALTIES = tuple(float(10.0 ** -(power / 3)) for power in range(-2, 19))
ROWS = 4096
TIED = 1e-9  # predictions of classes are about 1; what differs by less differs by rounding


@dataclass(frozen=True)
class LeftOut:
    """What ridge regression says of images that it was not trained on.

    Attributes:
        predictions: float64 (n, K), at the chosen penalty.
        predicted: int (n,), the class they decide for, at the class shares of all images.
        hits: float64 (n,), 1 where that is right; classes that tie share it.
        penalty: the chosen one, relative.
        errors: float64 (penalties,), mean squared error of each, summed over the classes.
        at_edge: whether the chosen one is the first or the last, so that a better one may exist.
    """

    predictions: Floats
    predicted: npt.NDArray[np.intp]
    hits: Floats
    penalty: float
    errors: Floats
    at_edge: bool


def leave_out(
    features: np.ndarray,
    targets: Targets,
    *,
    groups: np.ndarray | None = None,
    penalties: tuple[float, ...] = PENALTIES,
) -> LeftOut:
    """Predict every image by a model trained on all others, at the best penalty.

    Args:
        features: float32 or float64 (n, d).
        targets: of the n images.
        groups: int (n,), images that are left out together, such as copies of one; None leaves
            out each image by itself.
        penalties: λ to choose from, each above 0.

    Raises:
        DataError: if all images are one group, so that nothing is left to train on.
        UsageError: if the targets are numbers.
        EngineError: if the features have values that are not finite.

    Example:

    >>> targets = Targets.of_classes(["cat"] * 3 + ["dog"] * 3)
    >>> left_out = leave_out(np.array([[0.0], [1], [0], [9], [8], [9]]), targets)
    >>> left_out.predicted
    array([0, 0, 0, 1, 1, 1])
    """
    kind = KINDS[targets.kind]
    if kind.credit is None:
        raise UsageError.invalid("targets", targets.kind, "classes or labels, which can be right")
    solver = LeaveOut(features, kind.encode(targets), groups)
    errors = solver.errors(penalties)
    best = int(errors.argmin())
    predictions = solver.predictions(penalties[best])
    scores = predictions - solver.shares()
    return LeftOut(
        predictions,
        kind.decide(scores),
        kind.credit(scores, targets.values, TIED),
        penalties[best],
        errors,
        len(penalties) > 1 and best in (0, len(penalties) - 1),
    )


class _Block(NamedTuple):
    """Some images, whole groups of them.

    Attributes:
        rows: int (m,), which these are.
        z: float64 (m, r), their rows of Z.
        squares: the same squared.
        groups: the places within the block of each group of two or more.
    """

    rows: np.ndarray
    z: Floats
    squares: Floats
    groups: list[np.ndarray]


class LeaveOut:
    """Predictions of images left out, at any penalty.

    Args:
        features: float32 or float64 (n, d).
        encoded: float64 (n, K), what is to be predicted: for classes 1 in the column of its own.
        groups: int (n,), see :func:`leave_out`.
    """

    def __init__(
        self, features: np.ndarray, encoded: np.ndarray, groups: np.ndarray | None = None
    ) -> None:
        n = len(features)
        self._features = features
        self._groups = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
        if not self._groups.any():
            raise DataError(
                f"The {n} images are all in one group: nothing is left to train on. Expected at "
                f"least two groups."
            )
        self._targets = encoded
        self._mean = features.mean(axis=0, dtype=np.float64)
        if (features == features[0]).all():  # its rounding would be all that the features say
            self._mean = features[0].astype(np.float64)
        self._trace = sum(float(np.square(self._centred(rows)).sum()) for rows in self._slices())
        if not np.isfinite(self._trace):
            raise EngineError("The features have values that are not finite or far too large.")
        self._wide = features.shape[1] >= n
        self._values, self._vectors = self._decompose()
        self._zy = self._projected()

    def errors(self, penalties: tuple[float, ...]) -> Floats:
        """Mean over the images of the squared error, summed over the classes, of each penalty."""
        total = np.zeros(len(penalties))
        for block in self._blocks():
            for number, penalty in enumerate(penalties):
                total[number] += np.square(self._residuals(block, penalty)).sum()
        return total / len(self._targets)

    def predictions(self, penalty: float) -> Floats:
        """Give what models that did not see an image say of it, float64 (n, K)."""
        predictions = np.empty_like(self._targets)
        for block in self._blocks():
            rows = block.rows
            predictions[rows] = self._targets[rows] - self._residuals(block, penalty)
        return predictions

    def shares(self) -> Floats:
        """Give how much larger each class is without an image's group than with it, (n, K)."""
        n, targets = len(self._targets), self._targets
        held = np.zeros((self._groups.max() + 1, targets.shape[1]))
        np.add.at(held, self._groups, targets)
        sizes = held.sum(axis=1, keepdims=True)
        without = (targets.sum(axis=0) - held) / (n - sizes)
        rarer: Floats = without - targets.mean(axis=0)
        return rarer[self._groups]

    def _residuals(self, block: _Block, penalty: float) -> Floats:
        """Give target minus prediction, (m, K)."""
        n, z = len(self._targets), block.z
        weights = 1 / (self._values + (penalty * self._trace or 1.0))
        fitted = self._targets.mean(axis=0) + z @ (weights[:, None] * self._zy)
        raw: Floats = self._targets[block.rows] - fitted
        residuals = raw / (1 - 1 / n - block.squares @ weights)[:, None]
        for members in block.groups:
            part = z[members]
            left = np.eye(len(members)) - 1 / n - (part * weights) @ part.T
            residuals[members] = np.linalg.solve(left, raw[members])
        return residuals

    def _blocks(self) -> Iterator[_Block]:
        for rows in self._parts:
            z = self._rotated(rows)
            yield _Block(rows, z, np.square(z), self._several(rows))

    @cached_property
    def _parts(self) -> list[np.ndarray]:
        """All images, cut between groups."""
        order = np.argsort(self._groups, kind="stable")
        starts = np.flatnonzero(np.diff(self._groups[order], prepend=-1))
        cuts = starts[np.searchsorted(starts, np.arange(ROWS, len(order), ROWS)) - 1]
        return [part for part in np.split(order, np.unique(cuts)) if len(part)]

    def _several(self, rows: np.ndarray) -> list[np.ndarray]:
        """List the places of groups of two or more, which are neighbours in ``rows``."""
        groups = self._groups[rows]
        places = np.flatnonzero(np.bincount(groups)[groups] > 1)
        cuts = np.flatnonzero(np.diff(groups[places])) + 1
        return np.split(places, cuts) if len(places) else []

    def _decompose(self) -> tuple[Floats, Floats]:
        """Λ, and V or, of the Gram matrix, UΛ^½."""
        if self._wide:
            centred = self._centred(slice(None))
            square = centred @ centred.T
        else:
            size = self._features.shape[1]
            square = np.zeros((size, size))
            for rows in self._slices():
                centred = self._centred(rows)
                square += centred.T @ centred
        with one_thread():
            values, vectors = np.linalg.eigh(square)
        values = values.clip(0)
        return values, vectors * np.sqrt(values) if self._wide else vectors

    def _projected(self) -> Floats:
        """ZᵀY, which needs no centring of Y because the columns of Z are centred."""
        return sum(
            (self._rotated(rows).T @ self._targets[rows] for rows in self._slices()),
            np.zeros((len(self._values), self._targets.shape[1])),
        )

    def _rotated(self, rows: np.ndarray | slice) -> Floats:
        """Give rows of Z."""
        return self._vectors[rows] if self._wide else self._centred(rows) @ self._vectors

    def _centred(self, rows: np.ndarray | slice) -> Floats:
        centred: Floats = self._features[rows] - self._mean
        return centred

    def _slices(self) -> list[slice]:
        return [slice(start, start + ROWS) for start in range(0, len(self._features), ROWS)]
