"""Titles of plots: each says what the plot shows, and claims a difference only beyond noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headfit.report.text import learning_curve as learning
from headfit.report.text import reliability as trust
from headfit.report.text.numbers import mean_count, percent, point_range, points
from headfit.study.comparison.compare import as_good_as_best
from headfit.study.comparison.proportions import exact_interval
from headfit.study.position.answer import PositionAnswer
from headfit.study.reliability.per_class import recalls_differ

Results = Mapping[str, Any]


def scores(results: Results) -> str:
    """Say which heads are best, beyond the noise of the paired folds."""
    rows, chosen = results["candidates"], results["verdict"]["recommended"]
    means = {row["name"]: row["balanced_accuracy"]["mean"] for row in rows}
    best = max(means, key=lambda name: means[name])
    if len(rows) == 1:
        return f"{chosen} scores {percent(means[chosen])} %"
    folds = np.array([row["balanced_accuracy"]["folds"] for row in rows])
    equal = int(as_good_as_best(folds, results["settings"]["folds"]).sum())
    if equal == 1:
        return f"{best} scores highest beyond the noise: {percent(means[best])} %"
    which = "No head" if equal == len(rows) else f"None of the best {equal} heads"
    return f"{which} is ahead beyond the noise; {chosen} is recommended: {percent(means[chosen])} %"


def cost(results: Results, front: Sequence[str]) -> str:
    """Say what is marked: heads that no cheaper one equals. That is no difference beyond noise."""
    if len(front) == 1:
        return f"No larger head has a higher mean score than {front[0]}"
    return (
        f"Filled, on the line: {len(front)} of {len(results['candidates'])} heads, whose mean "
        f"score no smaller head reaches; the noise is not considered"
    )


def gains(results: Results) -> str:
    """Say which rows of a fine-tuning are ahead of the frozen head, beyond noise."""
    rows = results["finetune"]["gains"]
    ahead = [row for row in rows if row["word"] in ("pays", "ahead")]
    if not ahead:
        return "No row is ahead of the frozen head beyond the noise"
    best = max(ahead, key=lambda row: float(row["difference"]["mean"]))
    lead, ends = points(best["difference"]["mean"]), point_range(best["difference"], signed=False)
    return f"{best['name']} is {lead} above the frozen head ({ends})"


def posterior(results: Results) -> str:
    """Give the probabilities of the difference between flatten and gap."""
    difference = results["verdict"]["difference"]
    better, same = difference["p_better"], difference["p_rope"]
    worse = max(0.0, 1 - better - same)
    return (
        f"Flatten beats gap with probability {percent(better)} %, is within "
        f"±{100 * results['settings']['rope']:g} points with {percent(same)} %, is worse with "
        f"{percent(worse)} %"
    )


def spectrum(results: Results) -> str:
    """Say whether flatten, or anything between gap and flatten, is ahead of gap."""
    where, verdict = results["where"], results["verdict"]
    answer = PositionAnswer.of(where, verdict)
    if answer.word == "helps" and answer.lead:
        return f"τ = {answer.lead['tau']:g} is {_above_gap(answer.lead['ahead_of_gap'])}"
    if answer.word not in ("none", "undecided"):
        return f"Flatten is {_above_gap(verdict['difference'])}"
    curve = where["spectrum"]["curve"]
    gap, flatten = (percent(curve[end]["balanced_accuracy"]["mean"]) for end in (0, -1))
    return f"Nothing between gap ({gap} %) and flatten ({flatten} %) is above gap beyond the noise"


def _above_gap(lead: Mapping[str, Any]) -> str:
    return f"{points(lead['mean'])} above gap ({point_range(lead, signed=False)})"


def learning_curve(results: Results) -> str:
    """Say what the sentence says: what more images would bring each head."""
    return learning.title(results["learning_curve"])


def overfit(rows: Sequence[Mapping[str, Any]]) -> str:
    """Name the head that overfits most, if that is beyond noise.

    Args:
        rows: the candidates drawn, largest overfit gap first.
    """
    most, least = rows[0]["overfit_gap"], rows[-1]["overfit_gap"]
    if most["mean"] is None or least["mean"] is None or len(rows) == 1:
        return f"Overfit gap of {rows[0]['name']}: {points(most['mean'] or 0)}"
    ends = f"{percent(least['mean'])} to {points(most['mean'])}"
    if None in (most["low"], least["high"]) or most["low"] <= least["high"]:
        return f"Overfit gaps are {ends}; no difference is beyond the noise"
    return (
        f"{rows[0]['name']} overfits most, by {points(most['mean'])}; {rows[-1]['name']} least, by "
        f"{percent(least['mean'])}"
    )


def calibration(results: Results) -> str:
    """Say whether the recommended head is over- or underconfident, beyond noise."""
    reliability, name = results["reliability"], results["verdict"]["recommended"]
    error = f"{trust.calibration(reliability)}, {trust.temperature(reliability['temperature'])}"
    confidence = reliability.get("confidence")
    if confidence is None:  # before version 2
        return f"{name}: {error}"
    if trust.leaning(confidence):
        return f"{name} is {error}"
    return f"{name} is calibrated on average, within the noise: {error}"


def classes(rows: Sequence[Mapping[str, Any]], shown: int) -> str:
    """Name the classes that are recognised worst and best, if they differ beyond noise.

    Args:
        rows: the figures of each class.
        shown: number of classes in the plot.
    """
    part = f"; the {shown} weakest of {len(rows)} classes" if shown < len(rows) else ""
    ranked = sorted((row for row in rows if row["recall"] is not None), key=_recall)
    if not ranked:
        return f"No class has an image{part}"
    worst, best = ranked[0], ranked[-1]
    low, high = percent(worst["recall"]), percent(best["recall"])
    if not recalls_differ([(_recall(row), _independent(row)) for row in ranked]):
        return f"No class stands out beyond the noise: recall is {low} to {high} %{part}"
    ends = [exact_interval(_recall(row), _independent(row)) for row in (worst, best)]
    if ends[0][1] >= ends[1][0]:  # they may be rare, and others differ
        return f"Classes differ in recall beyond the noise: {low} to {high} %{part}"
    named = f"{worst['name']} is recognised worst (recall {low} %), {best['name']} best ({high} %)"
    return f"{named}{part}"


def _recall(row: Mapping[str, Any]) -> float:
    return float(row["recall"])


def _independent(row: Mapping[str, Any]) -> float:
    return float(row.get("independent", row["images"]))  # not in runs before version 2


def confusion(counts: np.ndarray, names: Sequence[str]) -> str:
    """Say how many images are taken for another class, and what for most often.

    Args:
        counts: (K, K), images labelled i and predicted j, whole numbers or means over repeats.
        names: of the K classes.
    """
    wrong = counts - np.diag(counts.diagonal())
    if not wrong.any():
        return f"All {mean_count(counts.sum())} images are predicted as labelled"
    row, column = divmod(int(wrong.argmax()), len(names))
    total, most = mean_count(wrong.sum()), mean_count(wrong[row, column])
    return (
        f"{total} of {mean_count(counts.sum())} images are taken for another class, most often "
        f"{names[row]} for {names[column]} ({most})"
    )


def maps(smallest: str, largest: str) -> str:
    """Give the range of the shapes of the feature map."""
    if smallest == largest:
        return f"The feature map is {smallest}"
    return f"The feature map goes from {smallest} to {largest}"
