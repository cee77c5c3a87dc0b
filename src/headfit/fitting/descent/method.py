"""The method of heads that are not linear: gradient descent.

JAX takes a second to import, so everything that needs it waits until something is trained: a study
of linear heads needs none of it, nor one whose fits are all stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headfit.fitting.fitted import FittedHead
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem, Settings
from headfit.heads.chain import Head
from headfit.progress import SILENT, Progress


@dataclass(frozen=True)
class Descent:
    """Trains a head by gradient descent.

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
