"""What a model is to predict for each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from headfit.errors import UsageError

CLASS = "class"
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

    Raises:
        UsageError: the kind is unknown, or the values do not fit the names.

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

    @classmethod
    def of_classes(cls, labels: Sequence[str]) -> Targets:
        """Number the classes in the order of their names, by code point.

        Args:
            labels: the class of each image.
        """
        names = tuple(sorted(set(labels)))
        numbers = {name: number for number, name in enumerate(names)}
        return cls(names, np.array([numbers[label] for label in labels], np.int64))

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

    def subset(self, rows: np.ndarray | Sequence[int]) -> Targets:
        """Return the targets of some images; the names stay.

        Args:
            rows: int (m,) positions in the order wanted, or a bool (n,) mask.
        """
        return replace(self, values=self.values[np.asarray(rows)])
