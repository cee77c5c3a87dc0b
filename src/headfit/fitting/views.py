"""Heads that are fitted on several views of each image, and scored on the image as it is.

Every view is a row to train on, with a share of its image's weight, so an image counts once however
many views it has. All views of an image lie in its fold. Settings are chosen, and models scored, on
the images as they are or, on request, on the mean of the probabilities over the views (test-time
augmentation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headfit.features.store import FeatureMaps
from headfit.features.views import ViewMaps, Views
from headfit.fitting.exact.method import Exact
from headfit.fitting.fitted import FittedHead
from headfit.fitting.methods import Method
from headfit.fitting.problem import CrossValidation, Problem, Settings
from headfit.heads.chain import Head
from headfit.progress import SILENT, Progress


@dataclass(frozen=True)
class OnViews:
    """Fits a head on all views of each image: a method for problems of n images.

    Attributes:
        method: fits the head on the maps of all views, n · views rows.
        views: which views these are.
        average: whether models are scored on the mean prediction over the views of an image,
            rather than on the image as it is. The models are the same.

    Example:

    ```python
    pooled = PooledFeatures(view_maps.maps, (head.pooling,))
    method = OnViews(method_of(head, pooled), Views(augmentation, view_maps.views))
    cross_validate(method, problem)
    ```
    """

    method: Method
    views: Views
    average: bool = False

    @property
    def head(self) -> Head:
        """The head that is fitted."""
        return self.method.head

    @property
    def identity(self) -> Any:
        """See :class:`headfit.fitting.methods.Method`."""
        return {
            "on_views": self.method.identity,
            **self.views.identity,
            "average": self.average,
        }

    def cross_validate(self, problem: Problem, progress: Progress = SILENT) -> CrossValidation:
        """See :class:`headfit.fitting.methods.Method`; probabilities are of the n images."""
        rows = self._expanded(problem)
        fit = self.method.cross_validate(rows, progress)
        return replace(
            fit,
            probabilities=rows.of_images(fit.probabilities),
            notes=[self._of_images(note) for note in fit.notes],
        )

    def refit(self, problem: Problem, settings: Settings) -> FittedHead:
        """See :class:`headfit.fitting.methods.Method`."""
        return self.method.refit(self._expanded(problem), settings)

    def _expanded(self, problem: Problem) -> Problem:
        return replace(expand(problem, self.views.count), average=self.average)

    def _of_images(self, note: Settings) -> Settings:
        if "images" not in note:
            return note
        return {**note, "images": note["images"] // self.views.count, "views": self.views.count}


def expand(problem: Problem, views: int) -> Problem:
    """Give every image of a problem several rows, one for each of its views.

    Args:
        problem: of n images.
        views: their number; row i · views + k is view k of image i.
    """
    targets, splits = problem.targets, problem.splits
    # where all images count alike, all rows do; weights by class hold as they are
    weights = None if targets.weights is None else np.repeat(targets.weights / views, views)
    assignment = np.repeat(splits.assignment, views, axis=1)
    assignment.flags.writeable = False
    return replace(
        problem,
        targets=replace(targets, values=np.repeat(targets.values, views, axis=0), weights=weights),
        splits=replace(splits, assignment=assignment),
        views=views,
    )


def held_out_predictions(
    method: Exact,
    problem: Problem,
    choices: Sequence[Settings],
    others: Sequence[FeatureMaps],
    images: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Predict images, or other views of them, by models that did not see the image.

    Args:
        method: of a linear head whose pooling has no shape parameter.
        problem: labels and folds of the n images that the method fits.
        choices: of its cross-validation.
        others: maps to predict, each of m images.
        images: int (m,), which images of the problem these are; all n in their order if None.

    Returns:
        For each of ``others`` float64 (m, K), of the models of the first repeat.
    """
    kernels, biases = method.fold_models(problem, list(choices))
    pooling, link = method.head.pooling, problem.kind.link
    folds = problem.splits.assignment[0]
    folds = folds if images is None else folds[images]
    results = []
    for maps in others:
        predictions = np.empty((len(maps), problem.targets.count))
        for fold, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
            held = np.flatnonzero(folds == fold)
            for rows, piece in maps.subset(held).chunks():
                scores = pooling.pool(piece, None) @ kernel + bias
                predictions[held[rows]] = link(scores.astype(np.float64))
        results.append(predictions)
    return results


def predict_views(fitted: FittedHead, maps: ViewMaps) -> np.ndarray:
    """Average the predictions of a fitted head over the views of each image.

    Args:
        fitted: a head.
        maps: of n images.

    Returns:
        float64 (n, K).
    """
    rows = fitted.probabilities_of(maps.maps)
    mean: np.ndarray = rows.reshape(len(maps), maps.views, -1).mean(axis=1)
    return mean
