"""A finished sweep of learning rates: the suggestion, and the loss of every step."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.finetuning.sweep import SmoothLoss, valley
from headfit.report.text import lr_find
from headfit.util import files, html

SCHEMA = "headfit.lr_find/1"
ROWS = 12  # of the table
PICTURES = ("lr-find.png", "lr-find.svg")


@dataclass(frozen=True)
class LearningRates:
    """The result of :func:`headfit.lr_find`. It prints as a sentence.

    Attributes:
        results: every number, plain data that JSON can hold, as the command prints it.

    Example:

    ```python
    rates = hf.lr_find("photos", unfreeze="last")
    rates.suggested  # 0.00021, or None
    rates.plot()
    ```
    """

    results: dict[str, Any]

    @classmethod
    def of(cls, rates: list[float], loss: SmoothLoss, facts: dict[str, Any]) -> LearningRates:
        """Gather the numbers of a sweep.

        Args:
            rates: of the steps, and of those that were not taken.
            loss: of the steps.
            facts: what else is known, plain data.
        """
        # the last average may hold the loss that exploded
        finite = [each for each in loss.averages if math.isfinite(each)]
        place = valley(finite)
        steps = [
            {"learning_rate": rate, "loss": _finite(each), "average": _finite(average)}
            for rate, each, average in zip(rates, loss.losses, loss.averages, strict=False)
        ]
        results: dict[str, Any] = {
            "schema": SCHEMA,
            "learning_rate": None if place is None else rates[place],
            "sentence": "",
            "exploded": loss.exploded,
            "steps": steps,
            **facts,
        }
        results["sentence"] = lr_find.sentence(results)
        return cls(results)

    @property
    def suggested(self) -> float | None:
        """The learning rate to try; None if the loss falls at none."""
        rate: float | None = self.results["learning_rate"]
        return rate

    def table(self) -> list[dict[str, Any]]:
        """Give a record for each step: ``learning_rate``, ``loss``, ``average``."""
        return list(self.results["steps"])

    def plot(self, ax: Any = None) -> Any:
        """Draw the loss against the learning rate.

        Args:
            ax: matplotlib axes to draw into; those of a new figure if None.

        Returns:
            The axes.
        """
        from headfit.report.plots.rates import rates  # noqa: PLC0415  (matplotlib)

        return rates(self.results, ax)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the plot as ``lr-find.png`` and ``lr-find.svg`` into a folder.

        Args:
            folder: is made if it does not exist.

        Returns:
            The folder.

        Raises:
            WriteError: a file cannot be written.
        """
        from matplotlib.figure import Figure  # noqa: PLC0415  (heavy)

        target = Path(folder)
        files.check_writable(target)
        figure = Figure(figsize=(6.0, 3.6), layout="constrained", dpi=150)
        self.plot(figure.add_subplot())
        for name in PICTURES:
            files.write_file(target / name, lambda path: figure.savefig(path))
        return target

    def __str__(self) -> str:
        return str(self.results["sentence"])

    def _repr_html_(self) -> str:
        cells = [row_shown(step) for step in rows_shown(self.results)]
        return html.table(COLUMNS, cells, str(self))


COLUMNS = ("learning rate", "loss", "average")


def rows_shown(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Choose about a dozen steps, evenly, with the one that is suggested."""
    steps = results["steps"]
    apart = max(1, math.ceil(len(steps) / ROWS))
    return [
        step
        for place, step in enumerate(steps)
        if place % apart == 0 or step["learning_rate"] == results["learning_rate"]
    ]


def row_shown(step: dict[str, Any]) -> tuple[str, ...]:
    """Write a step as a person reads it, a text for each of ``COLUMNS``."""
    numbers = ("–" if step[name] is None else f"{step[name]:.3g}" for name in COLUMNS[1:])
    return (lr_find.rate(step["learning_rate"]), *numbers)


def _finite(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
