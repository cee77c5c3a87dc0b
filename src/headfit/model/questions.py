"""Whether a model can answer what it is asked, and what it answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from headfit.errors import ModelFileError, UsageError
from headfit.images.targets import CLASS, LABELS, NOUNS, NUMBER
from headfit.model.metadata import ModelRecord
from headfit.model.prediction import label_sets
from headfit.study.reliability.model_reliability import Reliabilities

SHOWN = 5  # names in an error
_REFUSED = {
    "predict_proba": ((CLASS, LABELS), "have no probabilities"),
    "predict_set": ((CLASS,), "have no sets of classes"),
    "predict_interval": ((NUMBER,), "have no intervals"),
}
_INSTEAD = {CLASS: "predict_set", LABELS: "predict or predict_proba", NUMBER: "predict_interval"}


def check_question(question: str, path: Path, record: ModelRecord) -> None:
    """Refuse a question that has no answer for this kind of model.

    Args:
        question: the name of a method of ``Classifier``.
        path: the model file.
        record: what it says.

    Raises:
        UsageError: says what to ask instead.
    """
    kinds, why = _REFUSED[question]
    if record.kind in kinds:
        return
    more = ", …" if len(record.classes) > SHOWN else ""
    raise UsageError(
        f"{question} is not for '{path}', which predicts {NOUNS[record.kind][1]} "
        f"({', '.join(record.classes[:SHOWN])}{more}): {NOUNS[record.kind][1]} {why}. Use "
        f"{_INSTEAD[record.kind]}."
    )


def reliability_in(path: Path, record: ModelRecord) -> Reliabilities:
    """Give what the file knows of its reliability.

    Raises:
        ModelFileError: if it was written without.
    """
    if record.reliability is None:
        raise ModelFileError(
            f"'{path}' contains neither temperature nor thresholds. Run the comparison again with "
            f"this version of headfit and use its model.keras."
        )
    return record.reliability


def decided(outputs: np.ndarray, record: ModelRecord) -> np.ndarray:
    """Turn what the network gives, float64 (n, K), into what ``Classifier.predict`` returns."""
    if record.kind == NUMBER:
        return outputs
    if record.kind == CLASS:
        names: np.ndarray = np.array(record.classes)[outputs.argmax(axis=1)]
        return names
    labels = np.empty(len(outputs), object)
    labels[:] = label_sets(outputs, record)
    return labels
