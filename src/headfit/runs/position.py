"""What is measured beside scores: how much position matters, and what more images bring."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headfit.errors import EngineError, ImageError, WeightsError
from headfit.fitting.exact.method import Exact
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import CrossValidation, Problem
from headfit.progress import Callback, Progress
from headfit.report.text import position as text
from headfit.report.text.learning_curve import in_words, sentence
from headfit.runs.candidates import Entry
from headfit.runs.contrasts import Seen, looks
from headfit.runs.shift import measure_shifts, sample
from headfit.study.comparison.contrast import FLATTEN, GAP
from headfit.study.comparison.verdict import Verdict
from headfit.study.learning_curve.curve import learning_curve
from headfit.study.position.permutation import position_use
from headfit.study.position.spectrum import spectrum

# every τ is a head as large as flatten, and 2,000 images show what there is to see
MOST_IMAGES = 2000
# to be raised with every change of what is kept
WHERE_FORMAT = 4


def where_matters(
    entry: Entry, problem: Problem, verdict: Verdict, callback: Callback
) -> dict[str, Any] | None:
    """Measure how much it matters where things are, on the folds of the first repeat.

    Args:
        entry: the backbone, with its heads trained.
        problem: labels and folds.
        verdict: on the heads of this backbone; what is said of position follows it.
        callback: is told the progress.

    Returns:
        Plain data with a ``sentence``; None if gap or flatten was not compared.
    """
    gap, flatten = entry.fit_of(GAP), entry.fit_of(FLATTEN)
    if gap is None or flatten is None:
        return None
    ledger = entry.ledger(problem)
    given = [WHERE_FORMAT, MOST_IMAGES]
    known = ledger.facts("where", given)
    if known is None:
        callback.on_stage_begin("How much does where matter?", 1)
        known = _measure_where(_Part.of(entry, problem, gap, flatten), entry, callback)
        if known["shift"] is not None:  # else it may be had the next time
            ledger.store_facts("where", given, known)
    words = text.sentence(known, verdict.to_dict(), len(entry.rows))
    if known["shift"] is not None:
        shift = {**known["shift"], "sentence": text.shift(known["shift"]["curves"])}
        known = {**known, "shift": shift}
    return {**_named(known, entry, problem), "sentence": words}


def learning(
    entry: Entry, problem: Problem, groups: np.ndarray | None, callback: Callback
) -> dict[str, Any] | None:
    """Measure scores against the number of images, for gap and flatten, and what more would bring.

    Args:
        entry: the backbone, with its heads trained.
        problem: labels and folds.
        groups: int (n,), images that belong together; None if there are none.
        callback: is told the progress.

    Returns:
        Plain data with a ``sentence``; None if neither gap nor flatten was compared.
    """
    fits = [fit for fit in map(entry.fit_of, (GAP, FLATTEN)) if fit is not None]
    if not fits:
        return None
    ledger = entry.ledger(problem)
    given = [[fit.head.name, fit.final] for fit in fits]
    known = ledger.facts("curve", given)
    if known is None:
        callback.on_stage_begin("Learning curve", 1)
        heads = [(fit.head, fit.final["penalty"], fit.final["shape"]) for fit in fits]
        progress = Progress(callback.on_progress)
        known = in_words(learning_curve(heads, entry.pooled, problem, groups, progress))
        ledger.store_facts("curve", given, known)
    return {**known, "sentence": sentence(known)}  # the words of today, whatever was stored


@dataclass(frozen=True)
class _Part:
    """The images that position is studied on, and what gap and flatten make of them.

    Attributes:
        rows: int (m,), which of the training images.
        pooled: their features.
        problem: their labels and folds.
        found: by head, the head's cross-validation, its out-of-fold probabilities (m, K) and the
            settings of each fold.
    """

    rows: np.ndarray
    pooled: PooledFeatures
    problem: Problem
    found: dict[str, tuple[CrossValidation, np.ndarray, list[dict[str, Any]]]]

    @classmethod
    def of(
        cls, entry: Entry, problem: Problem, gap: CrossValidation, flatten: CrossValidation
    ) -> _Part:
        """Take all images, or some of them with the folds that they are in."""
        n, both = len(problem.labels), {GAP: gap, FLATTEN: flatten}
        if n <= MOST_IMAGES:
            found = {name: (f, f.probabilities[0], f.choices) for name, f in both.items()}
            return cls(np.arange(n), entry.pooled, problem, found)
        rng = np.random.default_rng([problem.seed, 6])
        rows = np.sort(rng.permutation(n)[:MOST_IMAGES])
        splits = problem.splits
        fewer = replace(splits, repeats=1, assignment=splits.assignment[:1, rows])
        part = replace(problem, labels=problem.labels[rows], splits=fewer)
        poolings = tuple(f.head.pooling for f in both.values())
        pooled = PooledFeatures(entry.pooled.maps.subset(rows), poolings)
        found = {}
        for name, fit in both.items():
            outcome = Exact(fit.head, pooled).cross_validate(part)
            found[name] = (fit, outcome.probabilities[0], outcome.choices)
        return cls(rows, pooled, part, found)

    def models(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Write the models of the folds as weights of the features."""
        fit, _, choices = self.found[name]
        return Exact(fit.head, self.pooled).fold_models(self.problem, choices)


def _measure_where(part: _Part, entry: Entry, callback: Callback) -> dict[str, Any]:
    problem = part.problem
    ends = {1.0: part.found[GAP][1], 0.0: part.found[FLATTEN][1]}
    curve = spectrum(part.pooled, problem, ends, Progress(callback.on_progress).span(0.0, 0.7))
    models = {name: part.models(name) for name in (GAP, FLATTEN)}
    use = position_use(part.pooled.maps, problem, *models[FLATTEN], seed=problem.seed)
    callback.on_progress(0.85)
    return {
        "images": len(part.rows),
        "spectrum": curve.to_dict(),
        **use.to_dict(curve.balanced_accuracy[0]),
        "shift": _shift(part, entry, models, callback),
        "looks": _looks(part, models),
    }


def _looks(part: _Part, models: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[dict[str, Any]]:
    """Explain some images; none where the map has one position."""
    if part.pooled.maps.shape[1:3] == (1, 1):
        return []
    problem = part.problem
    seen = {
        name: Seen(fit.head, probabilities, *models[name])
        for name, (fit, probabilities, _) in part.found.items()
    }
    folds = problem.splits.assignment[0]
    found = looks(seen, part.pooled.maps, problem.labels, folds, problem.seed)
    return [{**each, "row": int(part.rows[each["row"]])} for each in found]


def _named(found: dict[str, Any], entry: Entry, problem: Problem) -> dict[str, Any]:
    """Name images and classes; what is kept has numbers, since folders may be renamed."""
    index = entry.found.index
    named = [
        {
            "path": index.paths[entry.rows[each["row"]]],
            "label": index.classes[problem.labels[each["row"]]],
            "kind": each["kind"],
            "class": index.classes[each["class"]],
            "heads": {
                name: {**one, "predicted": index.classes[one["predicted"]]}
                for name, one in each["heads"].items()
            },
        }
        for each in found["looks"]
    ]
    return {**found, "looks": named}


def _shift(
    part: _Part,
    entry: Entry,
    models: dict[str, tuple[np.ndarray, np.ndarray]],
    callback: Callback,
) -> dict[str, Any] | None:
    """Move some images; None, said aloud, where the backbone or an image is not to be had now."""
    some = sample(part.problem.labels, part.problem.seed)
    index = entry.found.index.subset(entry.rows[part.rows[some]])
    folds = part.problem.splits.assignment[0, some]
    progress = Progress(callback.on_progress).span(0.85, 1.0)
    try:
        curves = measure_shifts(entry.source, index, folds, models, progress)
    except (EngineError, WeightsError, ImageError) as error:
        callback.on_message(f"What moving the image changes was not measured: {error}")
        return None
    return {
        "images": len(some),
        "curves": {name: curve.to_list() for name, curve in curves.items()},
    }
