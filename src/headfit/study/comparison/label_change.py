"""Whether a change of the image, such as a flip, changes what a frozen head takes it for.

The same models predict images that they did not see, as they are and changed. Only images that are
right in one of the two cases and wrong in the other tell; if the change did not matter, either case
would be as likely (McNemar's exact test, 1947). Of labels those images tell that have more right in
one of the cases, of numbers those that are missed by more: the sign test, which is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from headfit.fitting.kinds import KINDS
from headfit.images.targets import CLASS, NUMBER, Targets

P_VALUE = 0.01
LEAST_DROP = 0.01


@dataclass(frozen=True)
class LabelChange:
    """The score of a head on images as they are and changed.

    Attributes:
        plain: accuracy on the images as they are, a fraction; of labels over all pairs of image
            and label, of numbers R².
        changed: the same of the changed images.
        lost: number of images that the change makes worse.
        gained: number of images that the change makes better.
        p_value: of the exact test, two-sided.
        kind: of the targets.
    """

    plain: float
    changed: float
    lost: int
    gained: int
    p_value: float
    kind: str = CLASS

    @property
    def drop(self) -> float:
        """By how much the change lowers the score."""
        return self.plain - self.changed

    @property
    def is_clear(self) -> bool:
        """Whether the change clearly lowers the score: p < 0.01 and by more than 0.01."""
        return self.p_value < P_VALUE and self.drop > LEAST_DROP


def label_change(plain: np.ndarray, changed: np.ndarray, targets: Targets) -> LabelChange:
    """Compare predictions of the same images, as they are and changed.

    Args:
        plain: float64 (n, K), of the images as they are, each by a model that did not see it.
        changed: float64 (n, K), of the changed images, by the same models.
        targets: of the n images.

    Example:

    >>> targets = Targets.of_classes(["left", "right"] * 10)
    >>> plain = np.eye(2)[targets.values]
    >>> change = label_change(plain, plain[:, ::-1], targets)
    >>> change.plain, change.changed, change.lost, change.is_clear
    (1.0, 0.0, 20, True)
    """
    kind = KINDS[targets.kind]
    before, after = (_goodness(each, targets) for each in (plain, changed))
    lost, gained = int((after < before).sum()), int((after > before).sum())
    p_value = min(1.0, 2 * float(bdtr(min(lost, gained), lost + gained, 0.5)))
    scores = (float(before.mean()), float(after.mean()))
    if targets.kind == NUMBER:
        first, second = (kind.score(each, targets.values) for each in (plain, changed))
        scores = first, second
    return LabelChange(*scores, lost, gained, p_value, targets.kind)


def _goodness(predictions: np.ndarray, targets: Targets) -> np.ndarray:
    """Say how right each image is, float64 (n,): more is better."""
    if targets.kind == NUMBER:
        spread = targets.values.std(axis=0)
        errors = (predictions - targets.values) / np.where(spread > 0, spread, 1.0)
        missed: np.ndarray = -np.square(errors).sum(axis=1)
        return missed
    right = KINDS[targets.kind].decide(predictions) == targets.values
    share: np.ndarray = right.reshape(len(right), -1).mean(axis=1)
    return share
