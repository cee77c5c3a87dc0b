"""Whether labels contradict a head more often than its probabilities allow.

A temperature alone cannot tell: it makes a head that meets wrong labels less sure until they are no
surprise. So two models of the labels are compared. In the first all are right, drawn from
softmax(log p / T). In the second a share ε of them is drawn from all K classes alike: with
probability (1 − ε) softmax(log p / T)_y + ε/K. Both are fitted by maximum likelihood (the second by
expectation and maximisation: Dempster, Laird, Rubin 1977). Twice the gain in log-likelihood has
under the first, where ε lies on the edge of what is possible, half of its mass at 0 and half a χ²
distribution of one degree of freedom (Self & Liang 1987).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from headfit.fitting.metrics import Floats, Ints
from headfit.study.reliability.calibration import fit_temperature, scale

ALPHA = 0.05
START = 0.05  # ε
STEPS = 50
LITTLE = 1e-3  # gain of a step in log-likelihood


@dataclass(frozen=True)
class LabelNoise:
    """Labels as draws from the probabilities of a head.

    Attributes:
        temperature: T of right labels.
        p_value: of all labels being right.
    """

    temperature: float
    p_value: float


def fit_label_noise(probabilities: Floats, labels: Ints, groups: Ints | None = None) -> LabelNoise:
    """Compare both models; T is that of the first unless labels are shown to be wrong.

    Args:
        probabilities: float64 (n, K), each image by models that did not see it.
        labels: int (n,).
        groups: int (n,), equal for images that belong together, which count as one; None if each
            stands alone.
    """
    rows, even = np.arange(len(labels)), 1 / probabilities.shape[1]
    counted = np.ones(len(labels))
    if groups is not None:
        _, units, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        counted = 1 / sizes[units]
    plain = temperature = fit_temperature(probabilities, labels, counted)
    of_label = scale(probabilities, plain)[rows, labels]
    first = last = float(counted @ np.log(np.maximum(of_label, np.finfo(float).tiny)))
    share = START
    for _ in range(STEPS):
        right, wrong = (1 - share) * of_label, share * even
        likelihood = float(counted @ np.log(right + wrong))
        if likelihood - last < LITTLE and likelihood > first:
            break
        last = likelihood
        wronged = counted * wrong / (right + wrong)
        share = float(wronged.sum() / counted.sum())
        temperature = fit_temperature(probabilities, labels, counted - wronged)
        of_label = scale(probabilities, temperature)[rows, labels]
    p_value = float(chdtrc(1, 2 * (last - first))) / 2 if last > first else 1.0
    return LabelNoise(temperature if p_value <= ALPHA else plain, p_value)
