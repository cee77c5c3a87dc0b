"""What a model is to predict for each image."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headfit.errors import UsageError

CLASS, LABELS, NUMBER = "class", "labels", "number"
KINDS = (CLASS, LABELS, NUMBER)
NOUNS = {CLASS: ("class", "classes"), LABELS: ("label", "labels"), NUMBER: ("number", "numbers")}
"""What the names of each kind stand for, one and several."""
# how many times the smallest class the largest may have before this is a strong imbalance
STRONG_IMBALANCE = 10
# between the labels of an image, and between its numbers, where they are written as one text
SEPARATOR = ";"
# quantiles of numbers that each fold gets its share of; fewer where there are few images
MOST_BINS, IMAGES_PER_BIN = 10, 10


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of n images: one class, several labels or q numbers each.

    A kind of target decides the loss, the link, the decision and the metrics; the packages that
    compute them look them up by ``kind``, so nothing else depends on what ``values`` hold.

    Args:
        names: the K classes, labels or numbers, in the order of a model's outputs.
        values: of classes int (n,), positions in ``names``; of labels (n, K), 1 where an image
            has the label and else 0; of numbers float (n, K), in their own units. Copied, and
            read-only from then on.
        kind: ``"class"``, ``"labels"`` or ``"number"``.
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
        checked = _CHECKS[self.kind](np.array(self.values), len(self.names))
        checked.setflags(write=False)
        object.__setattr__(self, "values", checked)
        if self.weights is not None:
            object.__setattr__(self, "weights", _checked_weights(self.weights, len(checked)))

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

    @classmethod
    def of_labels(
        cls, labels: Sequence[Collection[str]], weights: np.ndarray | None = None
    ) -> Targets:
        """Number the labels in the order of their names, by code point.

        Args:
            labels: those of each image; an image may have none.
            weights: how much each counts, float (n,).

        Example:

        >>> Targets.of_labels([{"sea"}, {"sea", "sky"}, {}]).values.tolist()
        [[1, 0], [1, 1], [0, 0]]
        """
        names = tuple(sorted({name for each in labels for name in each}))
        values = [[name in each for name in names] for each in labels]
        shaped = np.array(values, np.int8).reshape(len(labels), len(names))
        return cls(names, shaped, LABELS, weights)

    @classmethod
    def of_numbers(
        cls, names: Sequence[str], values: np.ndarray, weights: np.ndarray | None = None
    ) -> Targets:
        """Take numbers as they are.

        Args:
            names: what each column holds.
            values: float (n, K), finite, in their own units.
            weights: how much each image counts, float (n,).
        """
        return cls(tuple(names), values, NUMBER, weights)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def count(self) -> int:
        """Number of outputs of a model for these targets: that of the names."""
        return len(self.names)

    @property
    def strata(self) -> np.ndarray:
        """What folds are stratified by.

        Of classes int (n,), of labels int (n, K), a column each; of numbers int (n,), the quantile
        of each image along the first principal axis of the standardised columns.
        """
        return self.values if self.kind != NUMBER else _quantiles(self.values)

    @property
    def stratum(self) -> np.ndarray:
        """One stratum for each image, int (n,): of labels its rarest, or K where it has none."""
        if self.kind != LABELS:
            return self.strata
        sizes = self.values.sum(axis=0)
        rarity = np.where(self.values > 0, sizes, len(self) + 1)
        none = ~self.values.any(axis=1)
        rarest: np.ndarray = np.where(none, self.count, rarity.argmin(axis=1))
        return rarest

    @property
    def mentions(self) -> np.ndarray:
        """Which image has which name, bool (n, K); of numbers, all have all."""
        if self.kind == CLASS:
            each: np.ndarray = self.values[:, None] == np.arange(self.count)
            return each
        return self.values > 0 if self.kind == LABELS else np.ones(self.values.shape, bool)

    def counts(self) -> dict[str, int]:
        """Return the number of images of each name."""
        return dict(zip(self.names, self.mentions.sum(axis=0).tolist(), strict=True))

    def label(self, row: int) -> str:
        """Return the target of one image as text, as tables hold it."""
        if self.kind == CLASS:
            return self.names[int(self.values[row])]
        if self.kind == LABELS:
            return SEPARATOR.join(self.names[k] for k in np.flatnonzero(self.values[row]))
        return SEPARATOR.join(f"{value:.6g}" for value in self.values[row])

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
        """How many times the smallest class or label the largest one has, by weight."""
        sizes = self._sizes()
        sizes = sizes[sizes > 0]
        return float(sizes.max() / sizes.min()) if len(sizes) else 1.0

    def balanced(self) -> Targets:
        """Return the same with a loss to which all classes contribute alike.

        Raises:
            UsageError: an image has no class, or several labels.
        """
        if self.kind != CLASS:
            raise UsageError.invalid("class_weight", "balanced", "'none': images have no one class")
        sizes = self._sizes()
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

    def without(self, names: Collection[str]) -> tuple[np.ndarray, Targets]:
        """Leave out some names: images of such a class, columns of such labels or numbers.

        Returns:
            Which images stay, bool (n,), and their targets.
        """
        stay = np.array([name not in names for name in self.names], bool)
        left = tuple(name for name in self.names if name not in names)
        if self.kind != CLASS:
            return np.ones(len(self), bool), replace(self, names=left, values=self.values[:, stay])
        mask = stay[self.values]
        part = self.subset(mask)
        numbers = np.cumsum(stay) - 1
        return mask, replace(part, names=left, values=numbers[part.values])

    def _sizes(self) -> np.ndarray:
        weights = np.ones(len(self)) if self.weights is None else self.weights
        sizes: np.ndarray = weights @ self.mentions
        return sizes


def _checked_classes(values: np.ndarray, count: int) -> np.ndarray:
    if values.ndim != 1 or (values.size and not np.issubdtype(values.dtype, np.integer)):
        raise UsageError(
            f"`values` must be integers of shape (n,). Received: {values.dtype} of shape "
            f"{values.shape}."
        )
    if values.size and not 0 <= values.min() <= values.max() < count:
        raise UsageError(
            f"`values` must be from 0 to {count - 1}, a position in `names`. "
            f"Received: {values.min()} to {values.max()}."
        )
    return values.astype(np.int64)


def _checked_labels(values: np.ndarray, count: int) -> np.ndarray:
    _check_columns(values, count)
    if not np.isin(values, (0, 1)).all():
        raise UsageError("`values` of labels must be 0 or 1.")
    return values.astype(np.int8)


def _checked_numbers(values: np.ndarray, count: int) -> np.ndarray:
    _check_columns(values, count)
    numbers = values.astype(np.float64)
    wrong = np.argwhere(~np.isfinite(numbers))
    if len(wrong):
        row, column = wrong[0].tolist()
        raise UsageError(
            f"`values` of numbers must be finite. Received: values[{row}, {column}]="
            f"{numbers[row, column]}."
        )
    return numbers


def _check_columns(values: np.ndarray, count: int) -> None:
    if values.ndim != 2 or values.shape[1] != count:
        raise UsageError(
            f"`values` must have a column for each of the {count} names. Received: shape "
            f"{values.shape}."
        )


_CHECKS = {CLASS: _checked_classes, LABELS: _checked_labels, NUMBER: _checked_numbers}


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Number the quantile of each row along the first principal axis of its columns, int (n,)."""
    spread = values.std(axis=0)
    standard = (values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    axis = np.linalg.eigh(standard.T @ standard)[1][:, -1]
    bins = max(2, min(MOST_BINS, math.ceil(len(values) / IMAGES_PER_BIN)))
    # equal numbers lie in one bin
    along = np.round(standard @ axis, 12)
    edges = np.sort(along)[np.arange(1, bins) * len(along) // bins] if len(along) else along
    bin_of: np.ndarray = np.searchsorted(edges, along, side="right")
    return bin_of


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
