"""Rows of the benchmark of the server: what was measured, and what it should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from http_client import Answer
from serve_material import Answers
from tables import markdown

TOLERANCE = 1e-4
"""By which a served probability may differ from that of ``Classifier``."""


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        what: was done.
        measured: in words.
        target: in words; empty if nothing is asked.
        met: None if nothing is asked.
        values: the numbers, for JSON.
    """

    what: str
    measured: str
    target: str = ""
    met: bool | None = None
    values: dict[str, Any] = field(default_factory=dict)

    def cells(self) -> list[str]:
        """Give the cells of the line."""
        verdict = {None: "", True: "met", False: "missed"}[self.met]
        return [self.what, self.measured, self.target, verdict]

    def record(self) -> dict[str, Any]:
        """Give the row as plain data."""
        return {"what": self.what, "measured": self.measured, "met": self.met, **self.values}


def table(rows: Iterable[Row]) -> str:
    """Write the rows as a Markdown table."""
    return markdown(["what", "measured", "target", ""], [row.cells() for row in rows])


class Outcome(NamedTuple):
    """How a request ended.

    Attributes:
        kind: ``"right"``, ``"wrong"``, ``"refused"`` (429 or 503), ``"late"`` (504), ``"lost"``, or
            the HTTP status.
        sent: the ``time.monotonic()`` when the whole request was on its way; None if it never was.
        seconds: from the first byte of the request to the last of the answer.
        images: of the request.
        note: what was wrong.
    """

    kind: str
    sent: float | None
    seconds: float
    images: int = 1
    note: str = ""


def judge(answer: Answer, answers: Answers, places: Sequence[int]) -> Outcome:
    """Compare an answer with the right one.

    Args:
        answer: to a request with ``top`` of all classes.
        answers: the right ones.
        places: which images were sent, in order.
    """
    sent, seconds, images = answer.sent, answer.seconds, len(places)
    if answer.status != 200:
        kinds = {429: "refused", 503: "refused", 504: "late"}
        kind = kinds.get(answer.status, str(answer.status))
        return Outcome(kind, sent, seconds, images, answer.body[:200].decode("utf-8", "replace"))
    predictions = answer.json()["predictions"]
    if [each["name"] for each in predictions] != [str(place) for place in places]:
        return Outcome("wrong", sent, seconds, images, "other names")
    for place, prediction in zip(places, predictions, strict=True):
        row = row_of(prediction, answers.classes)
        if not np.abs(row - answers.rows[place]).max() <= TOLERANCE:
            nearest = int(np.abs(answers.rows - row).max(axis=1).argmin())
            text = f"image {place} got what is nearest to the answer for {nearest}"
            return Outcome("wrong", sent, seconds, images, text)
    return Outcome("right", sent, seconds, images)


def row_of(prediction: dict[str, Any], classes: Sequence[str]) -> np.ndarray:
    """Give the probabilities of a prediction in the order of the classes, float64 (K,)."""
    named = {each["class"]: each["probability"] for each in prediction["top"]}
    return np.array([named.get(name, np.nan) for name in classes])


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """Count outcomes by kind."""
    return dict(Counter(each.kind for each in outcomes).most_common())


def in_words(numbers: dict[str, int]) -> str:
    """Write counts, such as ``"1,000 right, 3 refused"``."""
    return ", ".join(f"{number:,} {kind}" for kind, number in numbers.items()) or "none"


def percentiles(outcomes: Iterable[Outcome]) -> tuple[float, float]:
    """Give the median and the 99th percentile of the seconds."""
    seconds = [each.seconds for each in outcomes]
    p50, p99 = np.percentile(seconds, (50, 99)) if seconds else (np.nan, np.nan)
    return float(p50), float(p99)
