"""Compares backbones by their predictions: which is best, and which are as good within the noise.

All have predicted the same images, each with models that had not seen it. Noise is that of the
images: how far would scores have moved with other images of the same kind? It is the bootstrap over
groups of images with Gaussian multipliers, the same for all backbones. Its covariance has a closed
form (Σ_g E_g E_gᵀ, where E_g is what group g of images adds to each score about its mean), so only
the largest of several differences needs random draws. Classes keep their sizes. The noise of the
images that models were trained on is not included: the comparison of heads, which varies the folds,
is stricter.

Images of a group are not taken for one image: how alike backbones differ on them is measured. The
design effect is the variance between groups over the one that single images would have; where
nothing differs, nothing can be measured, and each group counts as one image.

Two corrections make intervals valid with few errors too:

- Scores have the exact binomial interval at the number of independent images with the same
  variance, but no more than there are groups: 50 of 50 right gives 92.9 to 100 %, not 100 to 100.
- The variance of a difference grows by 1/D, with D the number of groups that only one of the two
  gets right ((Σd²)²/Σd⁴, if some weigh more). So four images against none is no difference yet, six
  against none is one, as in McNemar's exact test. Intervals of differences are at least the score
  interval for paired proportions (Tango 1998).

The best of several is best partly by luck. All differences from it are widened alike, so that with
95 % probability no two equal backbones are called different (Tukey's range, with the estimated
covariance).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headfit.study.comparison.compare import Interval
from headfit.study.comparison.proportions import Hits, exact_interval, paired_interval

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
    classes = np.unique(labels, return_inverse=True)[1]
    each = np.arange(len(labels)) if groups is None else groups
    members = np.unique(each, return_inverse=True)[1]
    balanced = _Score.of(hits, members, classes)
    plain = _Score.of(hits, members, np.zeros(len(labels), int))
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
        hits: (M, n).
        weights: (n,), of the images; they sum to 1.
        errors: (M, n), what each image adds to each mean, about the mean of its part.
        grouped: (M, G), what each group adds.
        images: number of equally weighted images that would tell as much, if all were independent.
        groups: the same for groups.
    """

    means: Floats
    hits: Floats
    weights: Floats
    errors: Floats
    grouped: Floats
    images: float
    groups: float

    @classmethod
    def of(cls, hits: Floats, members: Ints, strata: Ints) -> _Score:
        """Sum up hits so that all parts count alike.

        Args:
            hits: (M, n), 1 where an image is predicted correctly.
            members: int (n,), the group of each image.
            strata: int (n,), parts whose sizes are fixed.
        """
        hits = np.asarray(hits, np.float64)
        sizes = np.bincount(strata)
        weights = (1.0 / (len(sizes) * sizes))[strata]
        centres = np.stack([np.bincount(strata, row) for row in hits]) / sizes
        # what goes into the mean of a part is missing from the spread about it: of G equal groups
        # one G-th
        pairs, counts = np.unique([strata, members], axis=1, return_counts=True)
        lost = np.bincount(pairs[0], np.square(counts)) / np.square(sizes)
        spread = np.sqrt(1 / np.where(lost < 1, 1 - lost, 1.0))
        errors = (hits - centres[:, strata]) * weights * spread[strata]
        return cls(
            centres.mean(axis=1),
            hits,
            weights,
            errors,
            np.stack([np.bincount(members, row) for row in errors]),
            float(1 / np.square(weights).sum()),
            Hits.of(np.ones((1, 1, len(strata)), bool), strata, members).independent,
        )

    def interval(self, m: int) -> Interval:
        """Compute the interval of one mean: exact, at no more images than there are groups."""
        p, variance = min(float(self.means[m]), 1.0), float(np.square(self.grouped[m]).sum())
        n = self.groups if variance == 0 else min(self.groups, p * (1 - p) / variance)
        return (p, *exact_interval(p, n))

    def differences(self, best: int, seed: int) -> list[Interval]:
        """Compute simultaneous intervals of each mean minus the best."""
        factor = self._widening(seed)
        return [
            (0.0, 0.0, 0.0) if m == best else self._difference(m, best, factor)
            for m in range(len(self.means))
        ]

    def _difference(self, m: int, best: int, factor: float) -> Interval:
        mean, grouped = float(self.means[m] - self.means[best]), self._apart(m, best)
        squares = np.square(grouped)
        variance, fourth = float(squares.sum()), float(np.square(squares).sum())
        half = factor * float(np.sqrt(variance + fourth / variance)) if variance > 0 else 0.0
        n = self._independent(self.errors[m] - self.errors[best], grouped)
        more = (self.hits[m] - self.hits[best]) * self.weights
        ahead, behind = float(more.clip(0).sum()), float((-more).clip(0).sum())
        low, high = paired_interval(ahead * n, behind * n, n, factor)
        return mean, min(mean - half, low), max(mean + half, high)

    def _apart(self, m: int, other: int) -> Floats:
        """Compute what each group adds to a difference."""
        apart: Floats = self.grouped[m] - self.grouped[other]
        # rounding of two backbones that are right and wrong on the same images
        apart[np.abs(apart) < 1e-9 * self.weights.min()] = 0
        return apart

    def _independent(self, errors: Floats, grouped: Floats) -> float:
        """Estimate the number of independent images from the design effect of a difference.

        One image is added that differs as its whole group does, since few of them tell little.
        """
        one = float(np.square(self.weights).mean())
        single, together = float(np.square(errors).sum()), float(np.square(grouped).sum())
        effect = (together + one * self.images / self.groups) / (single + one)
        return self.images / max(effect, 1.0)

    def _widening(self, seed: int) -> float:
        """Estimate the 95 % quantile of the largest difference, in standard errors."""
        count = len(self.means)
        if count < 3:
            return NORMAL
        pairs = [[np.square(self._apart(m, k)).sum() for k in range(count)] for m in range(count)]
        deviations = np.sqrt(pairs)
        draws = np.random.default_rng([seed, 9]).multivariate_normal(
            np.zeros(count),
            self.grouped @ self.grouped.T,
            DRAWS,
            method="eigh",
            check_valid="ignore",
        )
        greatest = np.zeros(DRAWS)
        for m, row in enumerate(deviations):
            real = row > 0
            ratios = np.abs(draws[:, real] - draws[:, [m]]) / row[real]
            greatest = np.maximum(greatest, ratios.max(axis=1, initial=0))
        return max(float(np.quantile(greatest, 0.95)), NORMAL)
