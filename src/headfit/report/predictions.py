"""The tables that a run writes, read back: predictions and suspects."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from headfit.errors import DataError


@dataclass(frozen=True)
class HeldOutPrediction:
    """One training image, predicted by the model that did not see it.

    Attributes:
        path: below the image folder.
        label: its class.
        predicted: the most probable class.
        p_label: probability of its class.
        p_predicted: probability of the predicted class.
    """

    path: str
    label: str
    predicted: str
    p_label: float
    p_predicted: float

    @property
    def right(self) -> bool:
        """Whether it is predicted as labelled."""
        return self.label == self.predicted


def read_predictions(text: str, classes: Sequence[str]) -> list[HeldOutPrediction]:
    """Read the content of ``predictions.csv``.

    Args:
        text: the file's content.
        classes: names of the classes, in the order of the columns.

    Raises:
        DataError: if it is not a table of these classes.
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
            f"predictions.csv is not the table of this run ({type(error).__name__}: {error}); "
            f"expected columns path, label, predicted and one for each class. Run compare anew."
        ) from error
