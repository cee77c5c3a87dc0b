"""Whether a change of the image, such as a flip, changes what a frozen head takes it for.

The same models predict images that they did not see, as they are and changed. Only images that are
right in one of the two cases and wrong in the other tell; if the change did not matter, either case
would be as likely (McNemar's exact test, 1947).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from headfit.fitting.kinds import KINDS
from headfit.images.targets import Targets

P_VALUE = 0.01
LEAST_DROP = 0.01


@dataclass(frozen=True)
class LabelChange:
    """The accuracy of a head on images as they are and changed.

    Attributes:
        plain: accuracy on the images as they are, a fraction.
        changed: accuracy on the changed images.
        lost: number of images that only the change gets wrong.
        gained: number of images that only the change gets right.
        p_value: of McNemar's exact test, two-sided.
    """

    plain: float
    changed: float
    lost: int
    gained: int
    p_value: float

    @property
    def drop(self) -> float:
        """By how much the change lowers the accuracy, a fraction."""
        return self.plain - self.changed

    @property
    def is_clear(self) -> bool:
        """Whether the change clearly lowers the accuracy: p < 0.01 and more than one point."""
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
    >>> label_change(plain, plain[:, ::-1], targets)
    LabelChange(plain=1.0, changed=0.0, lost=20, gained=0, p_value=1.9073486328125e-06)
    """
    decide = KINDS[targets.kind].decide
    before, after = (decide(each) == targets.values for each in (plain, changed))
    lost, gained = int((before & ~after).sum()), int((after & ~before).sum())
    p_value = min(1.0, 2 * float(bdtr(min(lost, gained), lost + gained, 0.5)))
    return LabelChange(float(before.mean()), float(after.mean()), lost, gained, p_value)
