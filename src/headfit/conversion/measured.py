"""The effect of a conversion on images: scores before, after, and with a refitted top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from headfit.conversion.algebra import Form, written_out
from headfit.conversion.conversion import Arguments
from headfit.conversion.opened_model import OpenedModel
from headfit.conversion.pictures import Pictures, Scores, look, skipped
from headfit.conversion.refit import Refit, of_maps, refit
from headfit.errors import DataError
from headfit.fitting.pooled import PooledFeatures
from headfit.heads.layers.plain import GAP
from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.model.metadata import ModelRecord
from headfit.progress import Callback
from headfit.study.position.perturbation import VarianceParts, among_classes
from headfit.study.reliability.assessment import assess
from headfit.study.reliability.model_reliability import Reliabilities

PIXELS = (
    "The model was given pixels from 0 to 255. If it expects them scaled, set `preprocessing`, or "
    "these accuracies mean nothing."
)
SEEN = (
    "Before and after are measured on all images, and the model may have been trained on some of "
    "them. Refitted is measured on images that its models have not seen, so do not compare the two."
)
SEEN_ONLY = (
    "Before and after are measured on all images. The model may have been trained on some of them."
)
ORDER = "The sorted class names stand for the outputs of the model, in their order."


@dataclass(frozen=True, eq=False)
class Measurement:
    """The effect of a conversion on images.

    Attributes:
        pictures: the images.
        folder: where they are.
        before: scores of the original model.
        after: scores of the converted model.
        refit: a new top; None if there is none.
        refitted: its scores.
        unfitted: why there is none.
        parts: of the variance of the old outputs: what comes from differences between positions.
        assumed: whether the order of the classes is an assumption.
        remarks: lines for the user.
    """

    pictures: Pictures
    folder: str
    before: Scores
    after: Scores
    refit: Refit | None
    refitted: Scores | None
    unfitted: str | None
    parts: VarianceParts
    assumed: bool
    remarks: list[str]

    def reliability(self, seed: int) -> Reliabilities | None:
        """Measure how reliable the refitted top is; None if there is none.

        Args:
            seed: of the outlier detector.
        """
        if self.refit is None:
            return None
        pictures, rows = self.pictures, self.pictures.trained
        averages = PooledFeatures(pictures.maps(rows), (GAP,)).features(GAP, None)
        paths = [pictures.extraction.index.paths[row] for row in rows]
        return assess(
            predictions=self.refit.probabilities[None],
            targets=pictures.targets.subset(rows),
            splits=self.refit.splits.assignment,
            paths=paths,
            features=averages,
            seed=seed,
            groups=self.refit.groups,
        ).for_model()

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        fit = self.refit
        return {
            "folder": self.folder,
            "images": len(self.pictures.scored),
            "scored_on": "test split" if self.pictures.apart else "all images",
            "classes_assumed": self.assumed,
            "skipped": skipped(self.pictures),
            "before": self.before,
            "after": self.after,
            "refitted": self.refitted and {**self.refitted, **_fit_facts(fit, self.pictures)},
            "not_refitted": self.unfitted,
            **self.parts.to_dict(),
        }


def measure(
    subject: OpenedModel,
    form: Form,
    arguments: Arguments,
    record: ModelRecord | None,
    callback: Callback,
) -> Measurement:
    """Measure a conversion on images.

    Args:
        subject: the model.
        form: its new top.
        arguments: of the conversion; ``data`` is the source.
        record: the model's, if headfit wrote it.
        callback: told about the progress.

    Raises:
        DataError: if the images do not fit the model, or a refit was asked for and cannot be.
    """
    pictures = look(subject, arguments, record, callback)
    rows = pictures.scored
    numbers = {"before": of_maps(subject.own, pictures, rows)}
    numbers["after"] = of_maps(form, pictures, rows)
    kind = pictures.targets.kind
    unfitted, fit = _why_not(subject, kind), None
    if unfitted is None:
        try:
            fit = refit(form, pictures, arguments.seed, callback)
        except DataError as error:
            unfitted = str(error)
    if fit is not None:
        numbers["refitted"] = fit.numbers
    elif arguments.refit:
        raise DataError(f"`refit=True` is not possible: {unfitted}")
    outputs = subject.outputs(numbers)
    scores = {
        name: pictures.scores(each, subject.facts["threshold"]) for name, each in outputs.items()
    }
    remarks = [ORDER] if record is None else []
    if record is None and arguments.preprocessing is None:
        remarks.append(PIXELS)
    if not pictures.apart:
        remarks.append(SEEN if fit else SEEN_ONLY)
    return Measurement(
        pictures,
        str(arguments.data),
        scores["before"],
        scores["after"],
        fit,
        scores.get("refitted"),
        unfitted,
        _variance_parts(subject, pictures),
        record is None,
        [*remarks, *(fit.warnings if fit else [])],
    )


_ENDINGS = {CLASS: ("softmax", "logits"), LABELS: ("sigmoid",), NUMBER: ("logits",)}
"""What a model may end in whose top can be refitted, by the kind of its targets."""


def _fit_facts(fit: Refit | None, pictures: Pictures) -> dict[str, Any]:
    if fit is None:
        return {}
    how = "test split" if pictures.apart else "out of fold"
    return {"penalty": fit.penalty, "folds": fit.splits.folds, "scored": how}


def _why_not(subject: OpenedModel, kind: str) -> str | None:
    if subject.facts["ending"] not in _ENDINGS[kind] or (
        kind == CLASS and subject.facts["units"] < 2
    ):
        return (
            "a top can be refitted only if its dense layer gives the classes, with or without "
            "softmax, or the labels or numbers of a model of headfit's. This one is followed by "
            "other layers or has another activation."
        )
    return None


def _variance_parts(subject: OpenedModel, pictures: Pictures) -> VarianceParts:
    """Split the old outputs of the scored images into the average over positions and the rest.

    z = P⟨W̄, F̄⟩ + Σ_p⟨W_p − W̄, F_p − F̄⟩ + b. If softmax follows, the part that all classes
    share is removed from both.
    """
    height, width, _ = subject.facts["map_shape"]
    w = written_out(subject.own.kind, subject.kernel, height * width)
    common = Form("gap", {"kernel": w.sum(axis=0), "bias": np.zeros(w.shape[-1], np.float32)})
    first = of_maps(common, pictures, pictures.scored).astype(np.float64)
    whole = of_maps(subject.own, pictures, pictures.scored) - subject.bias
    second = whole.astype(np.float64) - first
    if pictures.targets.kind == CLASS and subject.facts["ending"] in _ENDINGS[CLASS]:
        first, second = among_classes(first), among_classes(second)
    return VarianceParts.of(first, second)
