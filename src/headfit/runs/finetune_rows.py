"""The rows of a fine-tuning, cross-validated on the same folds: frozen, on views, and trained."""

from __future__ import annotations

from dataclasses import replace

from headfit.finetuning.method import AVERAGED
from headfit.fitting.problem import CrossValidation
from headfit.progress import Callback, Progress
from headfit.report.text.summary import fit_warnings
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.finetune_setup import Setup
from headfit.runs.flips import flip_warnings
from headfit.runs.results import Comparison, head_score
from headfit.runs.tuning import Tuning
from headfit.study.comparison.results import floors, fold_metrics
from headfit.study.protocol.crossval import cross_validate

VIEWS = "views"
TRAINING = "Training"
"""The stage in which rows are cross-validated."""

RowOf = tuple[CandidateBackbone, CrossValidation]
"""A row with its backbone."""


def fit_rows(setup: Setup, callback: Callback, *, tta: bool) -> list[RowOf]:
    """Cross-validate all rows of every backbone.

    Args:
        setup: the images; its comparison receives the rows.
        callback: follows them.
        tta: whether rows are also scored on the mean over views.

    Returns:
        Those whose scores are such means.
    """
    rows = _Rows(setup.comparison, callback, tta=tta)
    callback.on_stage_begin(TRAINING, sum(map(_count, setup.tunings)))
    for backbone, tuning in zip(setup.comparison.backbones, setup.tunings, strict=True):
        rows.fit(backbone, tuning)
        if setup.comparison.several:
            tuning.release()
    return rows.averaged


def _count(tuning: Tuning) -> int:
    return 1 + (tuning.views.count > 1) + len(tuning.parts)


class _Rows:
    def __init__(self, comparison: Comparison, callback: Callback, *, tta: bool) -> None:
        self.comparison, self.callback, self.tta = comparison, callback, tta
        self.averaged: list[RowOf] = []
        self._begun = 0

    def fit(self, backbone: CandidateBackbone, tuning: Tuning) -> None:
        """Cross-validate the rows of a backbone."""
        problem, ledger = tuning.problem, backbone.ledger(tuning.problem)
        method = backbone.method(tuning.head, problem)
        frozen = cross_validate(method, problem, self._progress(backbone, tuning, ""), ledger)
        self._note(backbone, frozen)
        for line in flip_warnings(tuning, frozen):
            self.callback.on_message(line)
        started = frozen
        if tuning.views.count > 1:
            progress = self._progress(backbone, tuning, VIEWS)
            views = cross_validate(tuning.on_views(), problem, progress, ledger)
            started = views
            self._note(backbone, replace(views, variant=VIEWS))
            if self.tta:
                mean = tuning.on_views(average=True)
                views = cross_validate(mean, problem, progress, ledger)
                row = replace(views, variant=f"{VIEWS}+{AVERAGED}")
                self.averaged.append((backbone, row))
        for part in tuning.parts:
            progress = self._progress(backbone, tuning, part.name)
            trained = tuning.method(part, started)
            fit = trained.cross_validate(problem, progress)
            for line in fit_warnings(self.comparison.name(backbone, fit), fit.notes):
                self.callback.on_message(line)
            self._note(backbone, fit)
            if self.tta:
                row = replace(trained, average=True).cross_validate(problem)
                self.averaged.append((backbone, row))

    def _progress(self, backbone: CandidateBackbone, tuning: Tuning, variant: str) -> Progress:
        label = f"{self._place(backbone)}{tuning.head.name}{f'+{variant}' if variant else ''}"
        number, self._begun = self._begun, self._begun + 1
        progress = Progress(lambda done: self.callback.on_progress(done, label), number, number + 1)
        progress(0.0)
        return progress

    def _place(self, backbone: CandidateBackbone) -> str:
        return f"{backbone.name}/" if self.comparison.several else ""

    def _note(self, backbone: CandidateBackbone, fit: CrossValidation) -> None:
        problem, groups = self.comparison.problem, self.comparison.groups.numbers
        backbone.fits.append(fit)
        backbone.metrics.append(fold_metrics(fit, problem))
        backbone.floors.append(floors(fit, problem, groups))
        self.callback.on_head_end(
            head_score(
                *(backbone, problem, self._place(backbone), fit),
                *(backbone.metrics[-1], backbone.floors[-1]),
            )
        )
