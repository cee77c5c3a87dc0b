"""How a head is fitted: every way of fitting is a :class:`Method`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from headfit.fitting.exact.method import Exact
from headfit.fitting.fitted import FittedHead
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem, Settings
from headfit.heads.chain import Head
from headfit.progress import SILENT, Progress


class Method(Protocol):
    """One way to fit one head on one set of images.

    It holds the head and whatever the images are to it: pooled features, stored maps, files.
    """

    @property
    def head(self) -> Head:
        """The head that is fitted."""

    @property
    def identity(self) -> Any:
        """Plain data that tells its fits from those of other heads and methods."""

    def cross_validate(self, problem: Problem, progress: Progress = SILENT) -> CrossValidation:
        """Choose the settings of each fold inside its training part, and predict what it holds out.

        Args:
            problem: labels, folds and budget.
            progress: reports the fraction done.
        """

    def refit(self, problem: Problem, settings: Settings) -> FittedHead:
        """Fit the head on all images.

        Args:
            problem: labels and budget.
            settings: of a cross-validation, as a rule its ``final``.
        """


@dataclass(frozen=True)
class Descent:
    """Trains a head by gradient descent.

    JAX takes a second to import, so it waits until something is trained: a study of linear heads
    needs none of it, nor one whose fits are all stored.

    Attributes:
        head: one that is not linear.
        pooled: features of the n images.
    """

    head: Head
    pooled: PooledFeatures

    @property
    def identity(self) -> Any:
        """See :class:`headfit.fitting.methods.Method`."""
        return self.head.identity

    def cross_validate(self, problem: Problem, progress: Progress = SILENT) -> CrossValidation:
        """See :class:`headfit.fitting.methods.Method`."""
        from headfit.fitting.descent import search  # noqa: PLC0415

        return search.cross_validate(self.head, self.pooled, problem, progress)

    def refit(self, problem: Problem, settings: Settings) -> FittedHead:
        """See :class:`headfit.fitting.methods.Method`."""
        from headfit.fitting.descent import search  # noqa: PLC0415

        return search.refit(self.head, self.pooled, problem, settings)


def method_of(head: Head, pooled: PooledFeatures, seed: int = 0) -> Method:
    """Give the method that fits a head.

    Args:
        head: a linear one is solved exactly, any other is trained by gradient descent.
        pooled: features of the images.
        seed: of the weights that a head of the user's own starts from.
    """
    head = head.on(pooled.maps.shape[1:], seed)
    return Exact(head, pooled) if head.linear else Descent(head, pooled)
