"""The model of a fine-tuning: its recommended row, trained on all training images."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np

from headfit.finetuning.tuned import TunedStages
from headfit.fitting.fitted import FittedHead
from headfit.fitting.problem import CrossValidation
from headfit.model.blueprint import Blueprint
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.results import Comparison, score_predictions, score_test
from headfit.runs.tuning import Tuning
from headfit.study.reliability.assessment import Assessment, assess


@dataclass(frozen=True)
class TunedModel:
    """What a classifier is made of, and how far it can be trusted.

    Attributes:
        blueprint: what it is made of.
        reliability: of its held-out predictions.
        test: its scores on the test split; None if there is none.
    """

    blueprint: Blueprint
    reliability: Assessment
    test: dict[str, Any] | None

    @classmethod
    def of(
        cls,
        comparison: Comparison,
        tuning: Tuning,
        chosen: CrossValidation,
    ) -> TunedModel:
        """Train a row on all training images.

        Args:
            comparison: all rows.
            tuning: the images as the row takes them.
            chosen: the row.
        """
        backbone = _backbone(comparison, tuning)
        problem, extraction = comparison.problem, backbone.extraction
        trained = [part for part in tuning.parts if part.name == chosen.variant]
        if not trained:
            method = tuning.on_views() if chosen.variant else backbone.method(chosen.head, problem)
            fitted = method.refit(problem, chosen.final)
            test = score_test(backbone, fitted)
            if test is not None:
                test["head"] = chosen.name
            return cls._made(
                *(comparison, backbone, chosen, fitted, backbone.averages()),
                fitted.probabilities(extraction.probe),
                test=test,
            )
        (part,) = trained
        frozen = next(fit for fit in reversed(backbone.fits) if not fit.trained)
        method = tuning.method(part, frozen)
        fitted = method.refit(problem, chosen.final)
        if fitted.layers is None:
            tuning.source.callback.on_message(
                f"WARNING: training {chosen.name} on all images diverged, so the model is "
                f"{frozen.name}. Set a lower `learning_rate`."
            )
            return cls.of(comparison, tuning, frozen)
        trainer = method.loaded(fitted)
        averages = trainer.averages(method.inputs, np.arange(len(backbone.rows)))
        test = None
        if len(rows := extraction.index.test):
            predicted = trainer.predict(tuning.inputs(part, rows), np.arange(len(rows)))
            targets = extraction.index.targets.subset(rows)
            test = score_predictions(chosen.name, predicted, targets)
        probe = trainer.predict_maps(tuning.probe_inputs(part))
        tuned = TunedStages(part.start, fitted.layers)
        return cls._made(
            *(comparison, backbone, chosen, fitted, averages, probe), test=test, tuned=tuned
        )

    @classmethod
    def _made(
        cls,
        comparison: Comparison,
        backbone: CandidateBackbone,
        chosen: CrossValidation,
        fitted: FittedHead,
        averages: np.ndarray,
        probe: np.ndarray,
        *,
        test: dict[str, Any] | None,
        tuned: TunedStages | None = None,
    ) -> TunedModel:
        problem = comparison.problem
        index = backbone.extraction.index.subset(backbone.rows)
        reliability = assess(
            predictions=chosen.probabilities,
            targets=problem.targets,
            splits=problem.splits.assignment,
            paths=index.paths,
            features=averages,
            seed=problem.seed,
            groups=comparison.groups.numbers,
        )
        source = backbone.source
        blueprint = Blueprint(
            source.spec.name,
            source.weights,
            source.contract,
            fitted,
            classes=index.classes,
            probe=probe,
            version=version("headfit"),
            reliability=reliability.for_model(),
            cut=source.cut,
            reference=source.spec.reference,
            tuned=tuned,
        )
        return cls(blueprint, reliability, test)


def _backbone(comparison: Comparison, tuning: Tuning) -> CandidateBackbone:
    return next(each for each in comparison.backbones if each.source is tuning.source)
