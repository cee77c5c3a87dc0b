"""Metrics in words: the name, the unit and the format of each, which every text asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headfit.report.text.numbers import number, percent, point_range, points, significant

BALANCED_ACCURACY = "balanced_accuracy"  # of runs that name no metric
SHARE, UNITS = 100.0, 1.0


@dataclass(frozen=True)
class Metric:
    """How a metric is written.

    Attributes:
        name: as it stands in a sentence.
        scale: what values are multiplied by where they are written without a unit: 100 for shares,
            which are given in per cent, and their differences in points.
        digits: after the point; None for three significant ones.
        column: two lines at the head of a narrow column.
        short: one line where there is little room.
    """

    name: str
    scale: float = UNITS
    digits: int | None = 3
    column: str = ""
    short: str = ""

    @property
    def is_share(self) -> bool:
        """Whether it is written in per cent."""
        return self.scale == SHARE

    @property
    def heading(self) -> str:
        """The head of a column: ``balanced accuracy, %``, ``R²``."""
        return f"{self.name}, %" if self.is_share else self.name

    @property
    def axis(self) -> str:
        """The label of an axis: ``balanced accuracy in %``, ``R²``."""
        return f"{self.name} in %" if self.is_share else self.name

    @property
    def unit(self) -> str:
        """What differences are in, as the label of an axis: ``points of macro F1``, ``R²``."""
        return f"points of {self.name}" if self.is_share else self.name

    def plain(self, value: float | None) -> str:
        """Write a value without its unit: ``94.8``, ``0.83``; a question mark for None."""
        if value is None:
            return "?"
        if self.is_share:
            return percent(value)
        return significant(value) if self.digits is None else number(value, self.digits)

    def value(self, value: float | None) -> str:
        """Write a value: ``94.8 %``, ``0.83``."""
        return f"{self.plain(value)} %" if self.is_share else self.plain(value)

    def ends(self, interval: Mapping[str, Any], between: str = " to ") -> str:
        """Write the ends of an interval without unit: ``92.1 to 96.3``."""
        return between.join(self.plain(interval[end]) for end in ("low", "high"))

    def score(self, interval: Mapping[str, Any]) -> str:
        """Write a value with its interval, where that is known: ``94.8 % (92.1 to 96.3)``."""
        known = None not in (interval["low"], interval["high"])
        return f"{self.value(interval['mean'])}{f' ({self.ends(interval)})' if known else ''}"

    def named(self, interval: Mapping[str, Any]) -> str:
        """Write the same with the name: ``94.8 % (…) balanced accuracy``, ``R² 0.83 (…)``."""
        words = (self.score(interval), self.name)
        return " ".join(words if self.is_share else words[::-1])

    def expected(self, interval: Mapping[str, Any], gap: float | None = None) -> str:
        """Say what to expect of a head, as a clause.

        Args:
            interval: mean, low and high.
            gap: the mean of gap, which is told beside R² alone; None if the head is gap.
        """
        mean, ends = self.value(interval["mean"]), self.ends(interval)
        if self.is_share:
            return f"expect {mean} {self.name} ({ends})"
        beside = "" if gap is None else f", gap {percent(max(0.0, gap), 0)} %"
        return f"it {explained(interval['mean'])} ({self.name} {mean}; {ends}){beside}"

    def change(self, value: float, *, signed: bool = False) -> str:
        """Write a difference without its unit: ``+4.1``, ``0.41``."""
        if self.is_share:
            return number(100 * value, signed=signed)
        return self._fine(value, abs(value), signed=signed)

    def difference(self, value: float, *, signed: bool = False) -> str:
        """Write a difference: ``+4.1 points``, ``0.41 in R²``."""
        if self.is_share:
            return points(value, signed=signed)
        return f"{self.change(value, signed=signed)} in {self.name}"

    def difference_of(self, value: float, *, signed: bool = False) -> str:
        """Write a difference and what it is of: ``4.1 points of macro F1``, ``0.41 in R²``."""
        of = f" of {self.name}" if self.is_share else ""
        return f"{self.difference(value, signed=signed)}{of}"

    def range(self, interval: Mapping[str, Any], *, signed: bool = True) -> str:
        """Write the ends of a difference's interval without unit: ``−0.3 to +1.2``."""
        if self.is_share:
            return point_range(interval, signed=signed)
        size = max(abs(interval[end]) for end in ("low", "high"))
        return " to ".join(
            self._fine(interval[end], size, signed=signed) for end in ("low", "high")
        )

    def margin(self, rope: float) -> str:
        """Write a difference that somebody chose, with the digits that they gave."""
        return points(rope) if self.is_share else f"{rope:g} in {self.name}"

    def _fine(self, value: float, size: float, *, signed: bool) -> str:
        """Give small differences of scores a digit more."""
        if self.digits is None:
            return significant(value, signed=signed)
        return number(value, self.digits + (self.digits < 3 and size < 0.1), signed=signed)


METRICS = {
    BALANCED_ACCURACY: Metric("balanced accuracy", SHARE, 1, "bal.\nacc. %", "bal. acc. %"),
    "macro_average_precision": Metric(
        "macro average precision", SHARE, 1, "avg.\nprec. %", "avg. prec. %"
    ),
    "r2": Metric("R²", digits=2, column="\nR²", short="R²"),
    "accuracy": Metric("accuracy", SHARE, 1),
    "label_accuracy": Metric("accuracy over images and labels", SHARE, 1),
    "micro_f1": Metric("micro F1", SHARE, 1),
    "macro_f1": Metric("macro F1", SHARE, 1),
    "auroc": Metric("AUROC"),
    "log_loss": Metric("log-loss", column="log-\nloss"),
    "brier": Metric("Brier score"),
    "rmse": Metric("RMSE", digits=None, column="\nRMSE"),
    "mae": Metric("MAE", digits=None, column="\nMAE"),
}
"""By their names in ``results.json``, in the order in which tables list them."""


@dataclass(frozen=True)
class _Primary:
    """What goes with a primary metric, as in :data:`headfit.fitting.kinds.KINDS`.

    That is not imported, because it would bring NumPy to every command line; a test compares.
    """

    kind: str
    loss: str
    bounds: tuple[float | None, float | None]


_PRIMARY = {
    BALANCED_ACCURACY: _Primary("class", "log_loss", (0.0, 1.0)),
    "macro_average_precision": _Primary("labels", "log_loss", (0.0, 1.0)),
    "r2": _Primary("number", "rmse", (None, 1.0)),
}


def primary(verdict: Mapping[str, Any]) -> str:
    """Give the name of the metric that a verdict rests on, the key of its scores.

    Args:
        verdict: the ``verdict`` object of ``results.json``; old ones name none.
    """
    return str(verdict.get("metric", BALANCED_ACCURACY))


def metric_of(verdict: Mapping[str, Any]) -> Metric:
    """Give the metric that a verdict rests on; see :func:`primary`."""
    return METRICS[primary(verdict)]


def kind_for(metric: str) -> str:
    """Give the kind of target that a primary metric is for."""
    return _PRIMARY[metric].kind


def loss_key(metric: str) -> str:
    """Give the name of the loss that is reported beside a primary metric."""
    return _PRIMARY[metric].loss


def bounds(metric: str) -> tuple[float | None, float | None]:
    """Give the least and greatest value of a primary metric, as it is drawn; None for none."""
    scale = METRICS[metric].scale
    low, high = (None if end is None else scale * end for end in _PRIMARY[metric].bounds)
    return low, high


def explained(r2: float) -> str:
    """Say what share of the variance is explained: ``explains 96 % of the variance``."""
    return f"explains {percent(r2, 0)} % of the variance" if r2 > 0 else "explains no variance"
