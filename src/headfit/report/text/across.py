"""Many data sets in words: what they say of heads together, and what they cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.report.text.metrics import METRICS, Metric
from headfit.report.text.numbers import enumerated, number, p_value, probability
from headfit.util.nouns import counted

ALPHA = 0.05
_SUBJECTS = {"flatten": "flatten", "best": "the best head of each data set"}
_PROPERTIES = {
    "positions": ("the number of positions in the map", "larger maps"),
    "images_per_class": ("the number of images of a class", "more images of a class"),
    "position_share": (
        "the share of the logit variance that depends on position",
        "a larger share of the logit variance that depends on position",
    ),
}


def sentences(summary: Mapping[str, Any]) -> list[str]:
    """Say all that data sets show together, the most important first.

    Args:
        summary: what :func:`headfit.study.across.summary.conclude` gives.
    """
    lines = [
        against_gap(summary, "flatten"),
        differs(summary),
        against_gap(summary, "best"),
        ranks(summary["ranks"]),
        *(association(summary, name) for name in summary["associations"]),
        within(summary),
        averaged(summary),
    ]
    return [line for line in lines if line]


def against_gap(summary: Mapping[str, Any], part: str) -> str:
    """Say how flatten, or the best head of each data set, compares with gap.

    Args:
        summary: of all data sets.
        part: ``"flatten"`` or ``"best"``.
    """
    found, subject = summary[part], _SUBJECTS[part]
    if found["reason"] and part != "flatten":
        return ""  # what is said of flatten says it of both
    if found["reason"]:
        return f"Flatten and gap are not compared over data sets: {refusal(found['reason'])}."
    metric, shares = METRICS[summary["metric"]], found["posterior"]
    over = f"over {found['data_sets']} data sets"
    margin = metric.margin(summary["rope"])
    mean = f"{metric.difference(found['mean'], signed=True)} on average ({metric.range(found)})"
    word = found["word"]
    if word == "equal":
        return (
            f"{_first(subject)} and gap are practically equal {over}, within {margin}: {mean}; "
            f"probability {probability(shares['equal'])}."
        )
    if word == "undecided":
        parts = (
            f"gap better {probability(shares['gap'])}",
            f"practically equal {probability(shares['equal'])}",
            f"{part if part == 'flatten' else 'best head'} better {probability(shares[part])}",
        )
        return (
            f"Whether {subject} is better than gap {over} is undecided: {mean}; "
            f"{enumerated(parts)}."
        )
    better, worse = (subject, "gap") if word == part else ("gap", subject)
    return (
        f"{_first(better)} is better than {worse} {over} by more than {margin}, as a rule: {mean}; "
        f"probability {probability(shares[word])}, {p_value(found['p_value'])}."
    )


def differs(summary: Mapping[str, Any]) -> str:
    """Say whether flatten − gap depends on the data set; empty if nothing is known."""
    found = summary["heterogeneity"]
    if found["reason"]:
        return ""
    if found["p_value"] < ALPHA:
        return (
            f"The difference between flatten and gap depends on the data set "
            f"({p_value(found['p_value'])}): measure it on your own images."
        )
    return (
        f"The differences between data sets are no larger than the noise of their folds explains "
        f"({p_value(found['p_value'])})."
    )


def ranks(found: Mapping[str, Any]) -> str:
    """Say which heads are told apart by their ranks."""
    if found["reason"]:
        return f"Heads are not ranked over data sets: {refusal(found['reason'])}."
    order = sorted(found["mean_ranks"].items(), key=lambda item: item[1])
    listed = enumerated([f"{name} {number(rank)}" for name, rank in order])
    pairs = [pair for pair in found["pairs"] if pair["holm_p_value"] < ALPHA]
    left = found["left_out"]
    rest = f" Not run on every data set: {enumerated(left)}." if left else ""
    if not pairs:
        return f"No two heads are told apart over the data sets. Mean ranks: {listed}.{rest}"
    better: dict[str, list[str]] = {}
    for pair in pairs:
        first, second = pair["first"], pair["second"]
        winner, loser = (first, second) if _wins(pair, found) else (second, first)
        better.setdefault(winner, []).append(loser)
    names = [name for name, _ in order if name in better]
    beaten = "; ".join(f"{name} is better than {enumerated(better[name])}" for name in names)
    return f"{beaten}, with Holm's correction over all pairs. Mean ranks: {listed}.{rest}"


def association(summary: Mapping[str, Any], name: str) -> str:
    """Say whether flatten − gap goes with a property; empty if too few data sets have it."""
    found = summary["associations"][name]
    if found["reason"]:
        return ""
    what, more = _PROPERTIES[name]
    rho = (
        f"Spearman's ρ {number(found['rho'], 2, signed=True)}, "
        f"{number(found['low'], 2, signed=True)} to {number(found['high'], 2, signed=True)}, "
        f"{found['data_sets']} data sets"
    )
    if found["holm_p_value"] >= ALPHA:
        return f"No relation of flatten − gap to {what} was shown ({rho})."
    direction = "larger" if found["rho"] > 0 else "smaller"
    return f"Flatten − gap is {direction} with {more} ({rho})."


def within(summary: Mapping[str, Any]) -> str:
    """Say how flatten − gap changes with the map of the same images; empty if unknown."""
    found = summary["within"]
    if found["reason"]:
        return ""
    metric: Metric = METRICS[summary["metric"]]
    change = (
        f"{metric.difference(found['mean'], signed=True)} for each doubling of the positions "
        f"({metric.range(found)}; {found['data_sets']} data sets at several sizes)"
    )
    if found["p_value"] >= ALPHA:
        return f"No effect of the size of the map on flatten − gap was shown: {change}."
    return f"On the same images flatten − gap changes with the size of the map: {change}."


def averaged(summary: Mapping[str, Any]) -> str:
    """Say that runs of one data set count once; empty if there is one run of each."""
    if not summary["averaged"]:
        return ""
    return (
        f"The {summary['rows']} runs are of {counted(len(summary['data_sets']), 'data set')}: runs "
        f"of the same images are averaged, so each data set counts once."
    )


def refusal(reason: Mapping[str, Any]) -> str:
    """Say why nothing is said."""
    if reason["code"] == "few":
        only = counted(reason["data_sets"], "data set")
        return f"{only} cannot show a difference, at least {reason['needed']} are needed"
    if reason["code"] == "heads":
        return "fewer than two heads were run on every data set"
    return "the property is the same in all data sets"


def _wins(pair: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether the first of two heads that are told apart is the better one."""
    if pair["median"]:
        return bool(pair["median"] > 0)
    means = found["mean_ranks"]
    return bool(means[pair["first"]] < means[pair["second"]])


def _first(text: str) -> str:
    """Begin a sentence; names of other heads stay as they are."""
    return text[0].upper() + text[1:] if text.startswith(("the ", "flatten")) else text
