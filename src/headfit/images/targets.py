"""What a model is to predict for each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from headfit.errors import UsageError

CLASS = "class"
# how many times the smallest class the largest may have before this is a strong imbalance
STRONG_IMBALANCE = 10
KINDS = (CLASS,)


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of n images, one class each.

    A kind of target decides the loss, the link, the decision and the metrics; the packages that
    compute them look them up by ``kind``, so nothing else depends on what ``values`` hold.

    Args:
        names: the K classes, in the order of a model's outputs.
        values: int (n,), positions in ``names``; copied, and read-only from then on.
        kind: ``"class"``.
        weights: how much each image counts, float (n,), finite and above 0; None if all count
            alike.
        class_weights: what the loss of each class is multiplied by, float (K,); None for 1.

    Raises:
        UsageError: the kind is unknown, or the values or weights do not fit.

    Example:

    >>> targets = Targets.of_classes(["dog", "cat", "dog"])
    >>> targets.names, targets.values.tolist()
    (('cat', 'dog'), [1, 0, 1])
    >>> targets.subset([0, 2]).counts()
    {'cat': 0, 'dog': 2}
    """

    names: tuple[str, ...]
    values: np.ndarray
    kind: str = CLASS
    weights: np.ndarray | None = None
    class_weights: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError.invalid("kind", self.kind, f"one of {', '.join(KINDS)}")
        values = np.array(self.values)
        if values.ndim != 1 or (values.size and not np.issubdtype(values.dtype, np.integer)):
            raise UsageError(
                f"`values` must be integers of shape (n,). Received: {values.dtype} of shape "
                f"{values.shape}."
            )
        if values.size and not 0 <= values.min() <= values.max() < len(self.names):
            raise UsageError(
                f"`values` must be from 0 to {len(self.names) - 1}, a position in `names`. "
                f"Received: {values.min()} to {values.max()}."
            )
        values = values.astype(np.int64)
        values.setflags(write=False)
        object.__setattr__(self, "values", values)
        if self.weights is not None:
            object.__setattr__(self, "weights", _checked_weights(self.weights, len(values)))

    @classmethod
    def of_classes(cls, labels: Sequence[str], weights: np.ndarray | None = None) -> Targets:
        """Number the classes in the order of their names, by code point.

        Args:
            labels: the class of each image.
            weights: how much each counts, float (n,).
        """
        names = tuple(sorted(set(labels)))
        numbers = {name: number for number, name in enumerate(names)}
        values = np.array([numbers[label] for label in labels], np.int64)
        return cls(names, values, weights=weights)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def count(self) -> int:
        """Number of outputs of a model for these targets: that of the classes."""
        return len(self.names)

    @property
    def strata(self) -> np.ndarray:
        """What folds are stratified by, int (n,): the class."""
        return self.values

    def counts(self) -> dict[str, int]:
        """Return the number of images of each name."""
        numbers = np.bincount(self.values, minlength=self.count)
        return dict(zip(self.names, numbers.tolist(), strict=True))

    def label(self, row: int) -> str:
        """Return the target of one image as text, as tables hold it."""
        return self.names[int(self.values[row])]

    @property
    def loss_weights(self) -> np.ndarray | None:
        """What the loss of each image is multiplied by, float64 (n,), 1 on average."""
        if self.weights is None and self.class_weights is None:
            return None
        weights = np.ones(len(self)) if self.weights is None else self.weights
        if self.class_weights is not None:
            weights = weights * self.class_weights[self.values]
        normalised: np.ndarray = weights / weights.mean()
        return normalised

    @property
    def imbalance(self) -> float:
        """How many times the smallest class the largest one has, by weight."""
        sizes = self._sizes()
        return float(sizes.max() / sizes.min()) if len(sizes) else 1.0

    def balanced(self) -> Targets:
        """Return the same with a loss to which all classes contribute alike."""
        sizes = np.bincount(self.values, self.weights, self.count)
        return replace(self, class_weights=sizes.sum() / np.maximum(sizes, 1e-12) / self.count)

    def weights_of(self, rows: np.ndarray | slice) -> np.ndarray | None:
        """Return how much some images count; None if all count alike."""
        return None if self.weights is None else self.weights[rows]

    def subset(self, rows: np.ndarray | Sequence[int]) -> Targets:
        """Return the targets of some images; the names stay.

        Args:
            rows: int (m,) positions in the order wanted, or a bool (n,) mask.
        """
        which = np.asarray(rows)
        weights = None if self.weights is None else self.weights[which]
        return replace(self, values=self.values[which], weights=weights)

    def _sizes(self) -> np.ndarray:
        sizes = np.bincount(self.values, self.weights, self.count)
        return sizes[sizes > 0]


def _checked_weights(weights: np.ndarray, count: int) -> np.ndarray:
    checked = np.array(weights, np.float64)
    if checked.shape != (count,):
        raise UsageError(
            f"`weights` must have one entry for each image. Received: shape {checked.shape}, "
            f"{count} images."
        )
    wrong = np.flatnonzero(~(np.isfinite(checked) & (checked > 0)))
    if len(wrong):
        raise UsageError(
            f"`weights` must be finite and above 0. Received: weights[{wrong[0]}]="
            f"{checked[wrong[0]]}. Leave out images that are not to count."
        )
    checked.setflags(write=False)
    return checked
