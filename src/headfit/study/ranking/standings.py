"""Compares backbones by their predictions: which is best, and which are as good within the noise.

All have predicted the same images, each with models that had not seen it. Noise is that of the
images: how far would scores have moved with other images of the same kind? It is the bootstrap over
images with Gaussian multipliers, the same for all backbones. Its covariance has a closed form
(Σ_g E_g E_gᵀ, where E_g is what group g of images adds to each score about its mean), so only the
largest of several differences needs random draws. Classes keep their sizes. The noise of the images
that models were trained on is not included: the comparison of heads, which varies the folds, is
stricter.

Two corrections make intervals valid with few errors too:

- Scores have Wilson's interval at the number of independent images with the same variance, but no
  more than there are: 50 of 50 right gives 92.9 to 100 %, not 100 to 100 %.
- Differences count one extra image that only one of the two gets right. So four images against none
  is no difference yet, six against none is one, as in McNemar's exact test.

The best of several is best partly by luck. All differences from it are widened alike, so that with
95 % probability no two equal backbones are called different (Tukey's range, with the estimated
covariance).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headfit.study.comparison.compare import Interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer]
NORMAL = 1.959963984540054  # two-sided 95 %
DRAWS = 20_000


@dataclass(frozen=True)
class Standing:
    """Where a backbone stands; scores are fractions with 95 % intervals.

    Attributes:
        balanced_accuracy: mean, low, high.
        accuracy: mean, low, high.
        difference: its balanced accuracy − that of the best: mean (never above 0), low, high.
        within_noise: whether it may be as good as the best; True for the best itself.
    """

    balanced_accuracy: Interval
    accuracy: Interval
    difference: Interval
    within_noise: bool


def standings(
    labels: Ints, hits: Floats, *, groups: Ints | None = None, seed: int = 0
) -> list[Standing]:
    """Compare backbones by how right they are of held-out images.

    Args:
        labels: int (n,), class of each image.
        hits: float64 (M, n), how right each backbone is of each image, from 0 to 1; of equally
            good backbones the first counts as the best.
        groups: int (n,), equal for images that are not independent, such as copies; None if there
            are none.
        seed: random seed.

    Returns:
        M standings, in the same order.
    """
    _, classes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    each = np.arange(len(labels)) if groups is None else groups
    _, members = np.unique(each, return_inverse=True)
    balanced = _Score.of(hits, 1.0 / (len(sizes) * sizes)[classes], members, classes)
    plain = _Score.of(hits, np.full(len(labels), 1.0 / len(labels)), members)
    best = int(balanced.means.argmax())
    differences = balanced.differences(best, seed)
    return [
        Standing(balanced.interval(m), plain.interval(m), differences[m], differences[m][2] >= 0)
        for m in range(len(hits))
    ]


@dataclass(frozen=True)
class _Score:
    """A weighted mean of hits, of M backbones.

    Attributes:
        means: (M,).
        covariance: (M, M), of the means.
        single: mean square weight of a group: the variance that one image adds.
        independent: upper limit of the number of independent images.
    """

    means: Floats
    covariance: Floats
    single: float
    independent: float

    @classmethod
    def of(cls, hits: Floats, weights: Floats, members: Ints, strata: Ints | None = None) -> _Score:
        """Sum up hits, (M, n), with weights (n,) that sum to 1.

        Args:
            hits: 1 where an image is predicted correctly.
            weights: weight of each image.
            members: int (n,), the group of each image.
            strata: int (n,), parts whose sizes are fixed; None for a single part.
        """
        parts = np.zeros(len(weights), int) if strata is None else strata
        sizes = np.bincount(parts)
        centres = np.stack([np.bincount(parts, row) for row in hits]) / sizes
        # one degree of freedom a part goes into its mean
        spread = np.sqrt(sizes / np.maximum(sizes - 1, 1))[parts]
        errors = (hits - centres[:, parts]) * weights * spread
        grouped: Floats = np.stack([np.bincount(members, row) for row in errors])
        squares: Floats = np.square(np.bincount(members, weights))
        means = centres @ np.bincount(parts, weights)
        return cls(means, grouped @ grouped.T, float(squares.mean()), float(1 / squares.sum()))

    def interval(self, m: int) -> Interval:
        """Compute Wilson's interval of one mean."""
        p, variance = float(self.means[m]), float(self.covariance[m, m])
        spread = max(p * (1 - p), 0.0)
        n = min(spread / variance, self.independent) if variance > 0 else self.independent
        square = NORMAL**2 / n
        middle = (p + square / 2) / (1 + square)
        half = np.sqrt(square * spread + square**2 / 4) / (1 + square)
        return p, max(float(middle - half), 0.0), min(float(middle + half), 1.0)

    def differences(self, best: int, seed: int) -> list[Interval]:
        """Compute simultaneous intervals of each mean minus the best."""
        factor = self._widening(seed)
        intervals = []
        for m, variance in enumerate(self._variances()[best].tolist()):
            mean = float(self.means[m] - self.means[best])
            half = 0.0 if m == best else factor * float(np.sqrt(variance + self.single))
            intervals.append((mean, mean - half, mean + half))
        return intervals

    def _variances(self) -> Floats:
        """Compute the variance of every difference, (M, M)."""
        variances = self.covariance.diagonal()
        differences: Floats = (variances[:, None] + variances - 2 * self.covariance).clip(0)
        # rounding of two backbones that are right and wrong on the same images
        differences[differences < 1e-12 * variances.max(initial=0)] = 0
        return differences

    def _widening(self, seed: int) -> float:
        """Estimate the 95 % quantile of the largest difference, in standard errors."""
        count = len(self.means)
        if count < 3:
            return NORMAL
        deviations = np.sqrt(self._variances())
        draws = np.random.default_rng([seed, 9]).multivariate_normal(
            np.zeros(count), self.covariance, DRAWS, method="eigh", check_valid="ignore"
        )
        greatest = np.zeros(DRAWS)
        for m, row in enumerate(deviations):
            real = row > 0
            ratios = np.abs(draws[:, real] - draws[:, [m]]) / row[real]
            greatest = np.maximum(greatest, ratios.max(axis=1, initial=0))
        return max(float(np.quantile(greatest, 0.95)), NORMAL)
