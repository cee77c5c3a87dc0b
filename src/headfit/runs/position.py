"""What is measured beside scores: how much position matters, and what more images would bring."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headfit.errors import EngineError, ImageError, WeightsError
from headfit.fitting.exact.method import Exact
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem
from headfit.images.targets import SEPARATOR
from headfit.progress import Callback, Progress
from headfit.report.text import learning_curve as learning_text
from headfit.report.text import position as text
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.example_images import FoldModels, explain_examples
from headfit.runs.shift import choose_images, measure_shifts
from headfit.study.comparison.contrast import FLATTEN, GAP
from headfit.study.comparison.verdict import Verdict
from headfit.study.learning_curve.curve import learning_curve
from headfit.study.position.perturbation import position_use
from headfit.study.position.spectrum import spectrum

# every τ is a head as large as flatten, and 2,000 images show what there is to see
MOST_IMAGES = 2000
# raise it with every change of what is stored
WHERE_FORMAT, CURVE_FORMAT = 6, 2


def where_matters(
    backbone: CandidateBackbone, problem: Problem, verdict: Verdict, callback: Callback
) -> dict[str, Any] | None:
    """Measure how much position matters, on the folds of the first repeat.

    Args:
        backbone: with its heads trained.
        problem: labels and folds.
        verdict: on the heads of this backbone; the sentence on position agrees with it.
        callback: receives the progress.

    Returns:
        Plain data with a ``sentence``; None if gap or flatten was not compared.
    """
    gap, flatten = backbone.fit_of(GAP), backbone.fit_of(FLATTEN)
    if gap is None or flatten is None:
        return None
    ledger = backbone.ledger(problem)
    key = [WHERE_FORMAT, MOST_IMAGES]
    where = ledger.facts("where", key)
    if where is None:
        callback.on_stage_begin("How much does position matter?", 1)
        part = _Part.of(backbone, problem, gap, flatten)
        where = _measure_where(part, backbone, callback)
        if where["shift"] is not None:  # else it may be possible the next time
            ledger.store_facts("where", key, where)
    # sentences are written now, whatever was stored
    sentence = text.sentence(where, verdict.to_dict(), len(backbone.rows))
    if (shift := where["shift"]) is not None:
        where = {**where, "shift": {**shift, "sentence": text.shift(shift["curves"])}}
    return {**_named(where, backbone, problem), "sentence": sentence}


def learning(
    backbone: CandidateBackbone, problem: Problem, groups: np.ndarray | None, callback: Callback
) -> dict[str, Any] | None:
    """Measure scores against the number of images, for gap and flatten, and forecast more.

    Returns:
        Plain data with a ``sentence``; None if neither gap nor flatten was compared.
    """
    fits = [fit for fit in map(backbone.fit_of, (GAP, FLATTEN)) if fit is not None]
    if not fits:
        return None
    ledger = backbone.ledger(problem)
    key = [CURVE_FORMAT, *([fit.head.name, fit.final] for fit in fits)]
    curve = ledger.facts("curve", key)
    if curve is None:
        callback.on_stage_begin("Learning curve", 1)
        measured = learning_curve(
            fits, backbone.pooled, problem, groups, Progress(callback.on_progress)
        )
        curve = learning_text.in_words(measured)
        ledger.store_facts("curve", key, curve)
    return {**curve, "sentence": learning_text.sentence(curve)}


@dataclass(frozen=True)
class _HeldOut:
    """A head on the folds of one repeat.

    Attributes:
        fit: its cross-validation on all images.
        probabilities: float64 (m, K), each image by the model that did not see it.
        choices: the settings of each fold.
    """

    fit: CrossValidation
    probabilities: np.ndarray
    choices: list[dict[str, Any]]


@dataclass(frozen=True)
class _Part:
    """The images that position is studied on, and what gap and flatten make of them.

    Attributes:
        rows: int (m,), which of the training images.
        pooled: their features.
        problem: their labels and folds.
        heads: gap and flatten, by name.
    """

    rows: np.ndarray
    pooled: PooledFeatures
    problem: Problem
    heads: dict[str, _HeldOut]

    @classmethod
    def of(
        cls,
        backbone: CandidateBackbone,
        problem: Problem,
        gap: CrossValidation,
        flatten: CrossValidation,
    ) -> _Part:
        """Take all images, or some of them with the folds that they are in."""
        n, fits = len(problem.targets), {GAP: gap, FLATTEN: flatten}
        if n <= MOST_IMAGES:
            heads = {k: _HeldOut(fit, fit.probabilities[0], fit.choices) for k, fit in fits.items()}
            return cls(np.arange(n), backbone.pooled, problem, heads)
        rng = np.random.default_rng([problem.seed, 6])
        rows = np.sort(rng.permutation(n)[:MOST_IMAGES])
        splits = problem.splits
        fewer = replace(splits, repeats=1, assignment=splits.assignment[:1, rows])
        part = replace(problem, targets=problem.targets.subset(rows), splits=fewer)
        poolings = tuple(fit.head.pooling for fit in fits.values())
        pooled = PooledFeatures(backbone.pooled.maps.subset(rows), poolings)
        heads = {}
        for name, fit in fits.items():
            outcome = Exact(fit.head, pooled).cross_validate(part)
            heads[name] = _HeldOut(fit, outcome.probabilities[0], outcome.choices)
        return cls(rows, pooled, part, heads)

    def models(self) -> dict[str, FoldModels]:
        """Give the models of the folds as weights of the features."""
        models = {}
        for name, held_out in self.heads.items():
            head = held_out.fit.head
            weights = Exact(head, self.pooled).fold_models(self.problem, held_out.choices)
            models[name] = FoldModels(head, held_out.probabilities, *weights)
        return models


def _measure_where(part: _Part, backbone: CandidateBackbone, callback: Callback) -> dict[str, Any]:
    problem, progress = part.problem, Progress(callback.on_progress)
    ends = {1.0: part.heads[GAP].probabilities, 0.0: part.heads[FLATTEN].probabilities}
    curve = spectrum(part.pooled, problem, ends, progress.span(0.0, 0.7))
    models = part.models()
    flatten = models[FLATTEN]
    use = position_use(
        part.pooled.maps, problem, flatten.kernels, flatten.biases, seed=problem.seed
    )
    progress(0.85)
    return {
        "images": len(part.rows),
        "spectrum": curve.to_dict(),
        **use.to_dict(curve.scores[0]),
        "shift": _shift(part, backbone, models, callback, progress.span(0.85, 1.0)),
        "looks": _examples(part, models),
    }


def _examples(part: _Part, models: dict[str, FoldModels]) -> list[dict[str, Any]]:
    """Explain some images; none where the map has one position."""
    problem = part.problem
    if part.pooled.maps.shape[1:3] == (1, 1):
        return []
    folds = problem.splits.assignment[0]
    examples = explain_examples(models, part.pooled.maps, problem.targets, folds, problem.seed)
    return [{**each, "row": int(part.rows[each["row"]])} for each in examples]


def _named(where: dict[str, Any], backbone: CandidateBackbone, problem: Problem) -> dict[str, Any]:
    """Name images and outputs; what is stored has numbers, since folders may be renamed."""
    index, names = backbone.extraction.index, problem.targets.names

    def named(predicted: int | float | list[int]) -> str | float:
        if isinstance(predicted, list):
            return SEPARATOR.join(names[k] for k in predicted)
        return predicted if isinstance(predicted, float) else names[predicted]

    looks = [
        {
            "path": index.paths[backbone.rows[each["row"]]],
            "label": problem.targets.label(each["row"]),
            "kind": each["kind"],
            "class": names[each["class"]],
            "heads": {
                name: {**one, "predicted": named(one["predicted"])}
                for name, one in each["heads"].items()
            },
        }
        for each in where["looks"]
    ]
    return {**where, "looks": looks}


def _shift(
    part: _Part,
    backbone: CandidateBackbone,
    models: dict[str, FoldModels],
    callback: Callback,
    progress: Progress,
) -> dict[str, Any] | None:
    """Move some images; None, with a message, where the backbone or an image cannot be used now."""
    some = choose_images(part.problem.targets.stratum, part.problem.seed)
    index = backbone.extraction.index.subset(backbone.rows[part.rows[some]])
    folds, kind = part.problem.splits.assignment[0, some], part.problem.targets.kind
    try:
        curves = measure_shifts(backbone.source, index, folds, models, progress, kind)
    except (EngineError, WeightsError, ImageError) as error:
        callback.on_message(f"The effect of moving the image was not measured: {error}")
        return None
    return {
        "images": len(some),
        "curves": {name: curve.to_list() for name, curve in curves.items()},
    }
