"""Reads ``predictions.csv`` back."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from headfit.errors import DataError


@dataclass(frozen=True)
class HeldOutPrediction:
    """The prediction of a training image by models that did not see it.

    Attributes:
        path: path below the image folder.
        label: class of the image.
        predicted: most probable class.
        p_label: probability of ``label``.
        p_predicted: probability of ``predicted``.
    """

    path: str
    label: str
    predicted: str
    p_label: float
    p_predicted: float

    @property
    def right(self) -> bool:
        """Whether the image is predicted as labelled."""
        return self.label == self.predicted


def read_predictions(text: str, classes: Sequence[str]) -> list[HeldOutPrediction]:
    """Read the content of ``predictions.csv``.

    Args:
        text: the file's content.
        classes: names of the classes, in the order of the columns.

    Raises:
        DataError: it is not a table of these classes.
    """
    rows = list(csv.reader(io.StringIO(text, newline="")))
    try:
        names = rows[0]
        path, label, predicted = (names.index(name) for name in ("path", "label", "predicted"))
        place = {name: predicted + 1 + number for number, name in enumerate(classes)}
        return [
            HeldOutPrediction(
                row[path],
                row[label],
                row[predicted],
                float(row[place[row[label]]]),
                float(row[place[row[predicted]]]),
            )
            for row in rows[1:]
        ]
    except (IndexError, KeyError, ValueError) as error:
        raise DataError(
            f"predictions.csv does not belong to this run ({type(error).__name__}: {error}). "
            f"Expected columns path, label, predicted and one for each class. Run compare again."
        ) from error
