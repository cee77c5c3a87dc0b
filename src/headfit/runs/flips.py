"""Whether flips and turns of the images change what they show, by the frozen head."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from headfit.backbones.engines.engine import Joint
from headfit.features.extract_views import extract_views
from headfit.features.views import Views, ViewStores
from headfit.fitting.exact.method import Exact
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation
from headfit.fitting.views import held_out_predictions
from headfit.images.augment import Augmentation
from headfit.report.text.views import label_change_warning
from headfit.runs.tuning import Tuning
from headfit.study.comparison.label_change import label_change

MOST = 400  # images that are looked at


def flip_warnings(tuning: Tuning, frozen: CrossValidation) -> Iterator[str]:
    """Warn of each flip of the augmentation that changes what the frozen head sees.

    The models of the folds predict images that they did not see, as they are and flipped.

    Args:
        tuning: the images.
        frozen: the cross-validation of the frozen head.
    """
    head, problem = tuning.head, tuning.problem
    if not head.linear or head.pooling.shapes:
        return
    rng, n = np.random.default_rng(problem.seed), len(tuning.rows)
    some = np.sort(rng.permutation(n)[:MOST])
    method = Exact(head, PooledFeatures(tuning.ends.view(0).subset(tuning.rows), (head.pooling,)))
    mask = np.zeros(len(tuning.extraction.index), bool)
    mask[tuning.rows[some]] = True
    index, source = tuning.extraction.index.subset(mask), tuning.source
    for step in tuning.views.augmentation.flips:
        views = Views(Augmentation.parse(step), 2)
        stores = [ViewStores.open(source.key, views.augmentation)]
        ((found, maps),) = extract_views(
            *(index, source.contract, stores, views, lambda: Joint.of(source.open())),
            dtype=source.options.feature_dtype,
        )
        if len(found.index) < len(some):
            return  # files that could be read before are gone
        plain, flipped = held_out_predictions(
            method, problem, frozen.choices, [maps.view(0), maps.view(1)], some
        )
        change = label_change(plain, flipped, problem.targets.subset(some))
        if change.is_clear:
            yield label_change_warning(step, change)
