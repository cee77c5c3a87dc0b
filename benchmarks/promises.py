"""Rows of a simulation, the tables that they fill, and whether they keep what is promised."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import stats
from tables import markdown

Record = dict[str, Any]
SURE = 0.95  # of samples of a rate that is just kept
WIDE = 0.99  # an interval of 95 % that holds the truth more often is too wide


class Row(Protocol):
    """A kind of data set, and what is noted of each."""

    @property
    def share(self) -> float:
        """Of the data sets that are asked for; less than 1 where each takes long."""

    def examine(self, seed: int) -> Record:
        """Draw a data set and note what headfit says of it."""


@dataclass(frozen=True)
class Promise:
    """A rate that must not be larger, or smaller, than promised.

    Attributes:
        what: it is the rate of.
        hits: of each data set, whether it happened.
        high: largest rate.
        low: smallest rate.
    """

    what: str
    hits: Sequence[bool]
    high: float = 1.0
    low: float = 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """What 95 % of samples show at the smallest and the largest rate: .058 of 2,000 at .05."""
        count = len(self.hits)
        return (
            float(stats.binom.ppf(1 - SURE, count, self.low)) / count,
            float(stats.binom.ppf(SURE, count, self.high)) / count,
        )

    @property
    def kept(self) -> bool:
        """Whether the rate lies within them."""
        least, most = self.bounds
        return least <= float(np.mean(self.hits)) <= most

    def __str__(self) -> str:
        least, most = self.bounds
        return f"{self.what} {rate(self.hits)}, should be {least:.3f} to {most:.3f}"


@dataclass(frozen=True)
class Section:
    """A table of the simulation.

    Attributes:
        name: for ``--only``, in front of the names of its rows.
        title: what it shows.
        rows: by name.
        head: of its columns, the first of which names the row.
        cells: of the other columns, for the records of a row.
        promises: what is promised of a row and its records.
    """

    name: str
    title: str
    rows: Mapping[str, Row]
    head: str
    cells: Callable[[list[Record]], list[str]]
    promises: Callable[[Any, list[Record]], Iterable[Promise]]

    def table(self, found: Mapping[str, list[Record]]) -> str:
        """Write the rows that have records, under the title."""
        rows = [
            [name, f"{len(found[name]):,}", *self.cells(found[name])]
            for name in self.rows
            if found[name]
        ]
        first, *others = self.head.split(" | ")
        return f"{self.title}\n\n{markdown([first, 'sets', *others], rows)}"

    def kept(self, found: Mapping[str, list[Record]]) -> list[str]:
        """Say how many promises are kept by the rows that have records, and name the others."""
        made = [
            (name, promise)
            for name in self.rows
            if found[name]
            for promise in self.promises(self.rows[name], found[name])
            if promise.hits
        ]
        broken = [f"- BROKEN, {self.name}: {name}: {each}" for name, each in made if not each.kept]
        kept = len(made) - len(broken)
        return [f"- {self.name}: {kept} of {len(made)} kept", *broken] if made else []


def rate(hits: Sequence[bool]) -> str:
    """Write a share with its Monte-Carlo standard error."""
    if not len(hits):
        return ""
    share = float(np.mean(hits))
    return f"{share:.3f} ± {math.sqrt(share * (1 - share) / len(hits)):.3f}"


def points(values: Sequence[float] | np.ndarray) -> str:
    """Write a mean in points with its Monte-Carlo standard error."""
    if len(values) < 2:
        return ""
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    return f"{100 * np.mean(values):.2f} ± {100 * error:.2f}"
