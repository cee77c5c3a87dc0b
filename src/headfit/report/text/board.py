"""A board in words: what each row says, and why rows cannot stand side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headfit.report.text.metrics import METRICS, Metric
from headfit.report.text.numbers import enumerated
from headfit.report.text.targets import NOUNS
from headfit.util.nouns import counted

ANSWERS = {
    "necessary": "necessary",
    "position_needed": "not necessary, but position is",
    "ahead": "ahead of gap, open",
    "not_necessary": "not necessary",
    "equivalent": "not necessary",
    "undecided": "undecided",
}
"""Whether Flatten is necessary, after "Flatten is"."""
NOT_TESTED = "not tested"
UNKNOWN = "–"
NAMED = 4  # runs of a list in a sentence
_FACTS = {
    "metric": "the metric",
    "folds": "the number of folds",
    "repeats": "the number of repeats",
    "rope": "the difference that does not matter",
    "statistics": "the version of the statistics",
    "drawn": "the folds of the same images",
}


def answer(verdict: Mapping[str, Any]) -> str:
    """Say in a few words whether Flatten is necessary.

    Args:
        verdict: the ``verdict`` object of ``results.json`` or of a record.
    """
    return NOT_TESTED if verdict["difference"] is None else ANSWERS[verdict["flatten"]]


def differences(what: Mapping[str, Mapping[Any, Sequence[str]]]) -> str:
    """Say what differs between rows: for each fact the names of the rows by its value."""
    parts = []
    for fact, rows in what.items():
        values = [f"{_value(fact, value)} ({_few(names)})" for value, names in rows.items()]
        parts.append(f"{_FACTS[fact]}: {', '.join(values)}")
    return "; ".join(parts)


def _value(fact: str, value: Any) -> str:
    if fact == "metric":
        return METRICS[value].name
    return f"draw {value + 1}" if fact == "drawn" else f"{value:g}"


def _few(names: Sequence[str]) -> str:
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return enumerated([*names[:NAMED], *more])


def heading(group: Mapping[str, Any]) -> str:
    """Say what all rows of a table share: ``Balanced accuracy, 5 × 10 folds``."""
    metric = METRICS[group["metric"]]
    name = f"{metric.name[0].upper()}{metric.name[1:]}"
    margin = metric.margin(group["rope"])
    return (
        f"{name}, {group['repeats']} × {group['folds']} folds; differences up to {margin} do not "
        f"matter"
    )


def columns(group: Mapping[str, Any]) -> list[str]:
    """Give the heads of the columns, for texts of :func:`cells`; the first is the name."""
    metric = METRICS[group["metric"]]
    unit = "points" if metric.is_share else metric.name
    noun = NOUNS["labels" if group["metric"] == "macro_average_precision" else "class"][0]
    heads = [
        "run",
        "Flatten is",
        f"flatten − gap, {unit}",
        "95 % interval",
        "best head",
        metric.heading,
        "its 95 % interval",
        "its parameters",
        "parameters of gap",
        "parameters of flatten",
        "best τ",
        "map",
        "images",
        f"images a {noun}",
        "position share, %",
    ]
    return [*heads, f"claimed − honest, {unit}"] if _claimed(group) else heads


def cells(row: Mapping[str, Any], group: Mapping[str, Any]) -> list[str]:
    """Write a row as a person reads it, a text for each of :func:`columns`."""
    metric, difference = METRICS[group["metric"]], row["difference"]
    best = row["best"]
    texts = [
        row["name"],
        row["answer"],
        _signed(metric, difference),
        _range(metric, difference),
        best["head"],
        metric.plain(best["mean"]),
        UNKNOWN if best["low"] is None else metric.ends(best),
        *(_count(row["parameters"][name]) for name in ("best", "gap", "flatten")),
        UNKNOWN if row["best_tau"] is None else f"{row['best_tau']:g}",
        "×".join(map(str, row["map_shape"])),
        _count(row["images"]),
        UNKNOWN if row["images_a_class"] is None else f"{row['images_a_class']:,.0f}",
        UNKNOWN if row["position_share"] is None else f"{100 * row['position_share']:.0f}",
    ]
    return [*texts, _claims(metric, row["claims"])] if _claimed(group) else texts


def explained(group: Mapping[str, Any]) -> list[str]:
    """Explain the columns that need it, a sentence each."""
    sentences = [
        "Every row is one run: the same folds for every head. Its record holds the score of each "
        "fold.",
        "Best τ: where between gap (τ = 1) and flatten (τ = 0) the loss is least; in between, some "
        "position helps.",
        "Position share: of the variance of flatten's logits, the part that depends on position.",
    ]
    if _claimed(group):
        sentences.append(
            "Claimed − honest: what mistakes would have added to the score: choosing settings on "
            "the scored folds, duplicates in different folds, the best head's own score."
        )
    return sentences


def outcome(record: Mapping[str, Any]) -> str:
    """Say what one run found, on one line.

    Args:
        record: with ``verdict`` and ``metric``.
    """
    verdict, metric = record["verdict"], METRICS[record["metric"]]
    difference = verdict["difference"]
    if difference is None:
        return f"use {verdict['recommended']}; gap and flatten were not compared"
    mean = metric.difference(difference["mean"], signed=True)
    known = difference["low"] is not None
    ends = f" ({metric.range(difference)})" if known else ""
    return f"Flatten is {answer(verdict)}; flatten − gap {mean}{ends}"


def time_left(seconds: float, done: int, runs: int) -> str:
    """Say how long the rest of the runs will take, if they are like those done: ``, 5 min left``.

    Args:
        seconds: that the runs done took.
        done: how many runs that are.
        runs: all of them.
    """
    if not done:
        return ""
    left = seconds / done * (runs - done)
    return f", about {max(1, round(left / 60))} min left" if left > 30 else ""


def failures(failed: Sequence[Mapping[str, str]]) -> str:
    """Say how many runs failed; empty if none did."""
    return f"{counted(len(failed), 'run')} failed." if failed else ""


def tooltip(row: Mapping[str, Any], metric: Metric) -> str:
    """Say what a mark of the plot stands for."""
    mean = metric.difference(row["difference"]["mean"], signed=True)
    ends = _range(metric, row["difference"])
    return f"{row['name']}: flatten − gap {mean} ({ends}); Flatten is {row['answer']}"


def _claimed(group: Mapping[str, Any]) -> bool:
    return any(row["claims"] for row in group["rows"])


def _claims(metric: Metric, claims: Mapping[str, float]) -> str:
    named = (f"{name} {metric.change(value, signed=True)}" for name, value in claims.items())
    return ", ".join(named) or UNKNOWN


def _signed(metric: Metric, difference: Mapping[str, Any] | None) -> str:
    return UNKNOWN if difference is None else metric.change(difference["mean"], signed=True)


def _range(metric: Metric, difference: Mapping[str, Any] | None) -> str:
    known = difference is not None and difference["low"] is not None
    return metric.range(difference) if difference is not None and known else UNKNOWN


def _count(count: int | None) -> str:
    return UNKNOWN if count is None else f"{count:,}"
