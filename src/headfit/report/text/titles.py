"""Titles of plots: each says what the plot shows, and claims a difference only beyond noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headfit.images.targets import LABELS
from headfit.report.text import learning_curve as learning
from headfit.report.text import metrics
from headfit.report.text import reliability as trust
from headfit.report.text.metrics import METRICS, Metric, metric_of
from headfit.report.text.numbers import mean_count, percent, significant
from headfit.report.text.position import ends
from headfit.report.text.targets import NAMED, names_of
from headfit.study.comparison.compare import as_good_as_best
from headfit.study.comparison.proportions import exact_interval
from headfit.study.position.answer import PositionAnswer
from headfit.study.reliability.per_class import recalls_differ
from headfit.util.nouns import counted

Results = Mapping[str, Any]


def scores(results: Results) -> str:
    """Say which heads are best, beyond the noise of the paired folds."""
    rows, chosen = results["candidates"], results["verdict"]["recommended"]
    key, metric = metrics.primary(results["verdict"]), metric_of(results["verdict"])
    means = {row["name"]: row[key]["mean"] for row in rows}
    best = max(means, key=lambda name: means[name])

    def score(name: str) -> str:
        return metric.value(means[name]) if metric.is_share else metric.named(_alone(means[name]))

    if len(rows) == 1:
        return f"{chosen} scores {score(chosen)}"
    folds = np.array([row[key]["folds"] for row in rows])
    equal = int(as_good_as_best(folds, results["settings"]["folds"]).sum())
    if equal == 1:
        return f"{best} scores highest beyond the noise: {score(best)}"
    which = "No head" if equal == len(rows) else f"None of the best {equal} heads"
    return f"{which} is ahead beyond the noise; {chosen} is recommended: {score(chosen)}"


def _alone(mean: float) -> dict[str, float | None]:
    return {"mean": mean, "low": None, "high": None}


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
    metric = metric_of(results["verdict"])
    lead = metric.difference(best["difference"]["mean"])
    spread = metric.range(best["difference"], signed=False)
    return f"{best['name']} is {lead} above the frozen head ({spread})"


def posterior(results: Results) -> str:
    """Give the probabilities of the difference between flatten and gap."""
    difference = results["verdict"]["difference"]
    better, same = difference["p_better"], difference["p_rope"]
    worse = max(0.0, 1 - better - same)
    metric, rope = metric_of(results["verdict"]), results["settings"]["rope"]
    margin = f"{100 * rope:g} points" if metric.is_share else metric.margin(rope)
    return (
        f"Flatten beats gap with probability {percent(better)} %, is within "
        f"±{margin} with {percent(same)} %, is worse with {percent(worse)} %"
    )


def spectrum(results: Results) -> str:
    """Say whether flatten, or anything between gap and flatten, is ahead of gap."""
    where, verdict = results["where"], results["verdict"]
    answer, metric = PositionAnswer.of(where, verdict), metric_of(verdict)
    if answer.word == "helps" and answer.lead:
        return f"τ = {answer.lead['tau']:g} is {_above_gap(answer.lead['ahead_of_gap'], metric)}"
    if answer.word not in ("none", "undecided"):
        return f"Flatten is {_above_gap(verdict['difference'], metric)}"
    between = ends(where["spectrum"]["curve"], verdict)
    return f"Nothing between {between} is above gap beyond the noise"


def _above_gap(lead: Mapping[str, Any], metric: Metric) -> str:
    spread = metric.range(lead, signed=False)
    return f"{metric.difference(lead['mean'])} above gap ({spread})"


def learning_curve(results: Results) -> str:
    """Say what the sentence says: what more images would bring each head."""
    return learning.title(results["learning_curve"])


def overfit(rows: Sequence[Mapping[str, Any]], metric: Metric) -> str:
    """Name the head that overfits most, if that is beyond noise.

    Args:
        rows: the candidates drawn, largest overfit gap first.
        metric: the primary one.
    """
    most, least = rows[0]["overfit_gap"], rows[-1]["overfit_gap"]
    if most["mean"] is None or least["mean"] is None or len(rows) == 1:
        return f"Overfit gap of {rows[0]['name']}: {metric.difference(most['mean'] or 0)}"
    largest, smallest = metric.difference(most["mean"]), metric.plain(least["mean"])
    if None in (most["low"], least["high"]) or most["low"] <= least["high"]:
        return f"Overfit gaps are {smallest} to {largest}; no difference is beyond the noise"
    return f"{rows[0]['name']} overfits most, by {largest}; {rows[-1]['name']} least, by {smallest}"


def calibration(results: Results) -> str:
    """Say whether the recommended head is over- or underconfident, beyond noise."""
    reliability, name = results["reliability"], results["verdict"]["recommended"]
    if trust.kind_in(reliability) == LABELS:
        return _scaled(reliability["labels"])
    error = f"{trust.calibration(reliability)}, {trust.temperature(reliability['temperature'])}"
    confidence = reliability.get("confidence")
    if confidence is None:  # before version 2
        return f"{name}: {error}"
    if trust.leaning(confidence):
        return f"{name} is {error}"
    return f"{name} is calibrated on average, within the noise: {error}"


def _scaled(rows: Sequence[Mapping[str, Any]]) -> str:
    count = sum(row["temperature"] != 1 for row in rows)
    if not count:
        return "No temperature improves the probabilities of a label"
    return f"A temperature improves the probabilities of {count} of {len(rows)} labels"


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


def roc(results: Results) -> str:
    """Give the area below the ROC curve of one of two classes."""
    curves = results["reliability"]["curves"]
    name = names_of(results)[curves["class"]]
    return f"AUROC of {name}: {curves['auroc']:.3f} (by chance 0.500)"


def precision_recall(results: Results) -> str:
    """Give the area below the curve of precision and recall of one of two classes."""
    curves = results["reliability"]["curves"]
    name, mean = names_of(results)[curves["class"]], percent(curves["average_precision"])
    return f"Average precision of {name}: {mean} % (by chance {percent(curves['share'])} %)"


def labels(rows: Sequence[Mapping[str, Any]], shown: int) -> str:
    """Give the range of the labels' average precision; that is no difference beyond noise.

    Args:
        rows: the figures of each label, least average precision first.
        shown: number of labels in the plot.
    """
    part = f"; the {shown} weakest of {len(rows)} labels" if shown < len(rows) else ""
    known = [row for row in rows if row["average_precision"] is not None]
    if not known:
        return f"No label has an image{part}"
    if len(known) == 1:
        return f"Average precision of {known[0]['name']}: {_precision(known[0])} %{part}"
    low, high = known[0], known[-1]
    return (
        f"Average precision is {_precision(low)} % ({low['name']}) to {_precision(high)} % "
        f"({high['name']}){part}"
    )


def _precision(row: Mapping[str, Any]) -> str:
    return percent(row["average_precision"])


def cooccurrence(counts: np.ndarray, names: Sequence[str]) -> str:
    """Say which two labels come together most often.

    Args:
        counts: (K, K), images that have both labels.
        names: of the K labels.
    """
    both = np.triu(counts, 1)
    if not both.any():
        return "No image has two labels"
    row, column = divmod(int(both.argmax()), len(names))
    images = counted(int(both[row, column]), "image")
    return f"Most often together: {names[row]} and {names[column]}, in {images}"


def predicted_true(results: Results) -> str:
    """Give R² of each column."""
    columns = results["reliability"]["columns"]
    parts = [f"{c['name']} {METRICS['r2'].value(c['r2'])}" for c in columns[:NAMED]]
    more = f" and {len(columns) - NAMED} more" if len(columns) > NAMED else ""
    return f"R² of {results['verdict']['recommended']}: {', '.join(parts)}{more}"


def residuals(results: Results) -> str:
    """Say how far off half of the images are, and nine of ten."""
    reliability = results["reliability"]
    columns, points = reliability["columns"], reliability["points"]
    apart = np.array(points["predicted"], float) - np.array(points["true"], float)
    if len(columns) > 2:
        worst = max(columns, key=lambda column: float(column["rmse"]) / (column["std"] or 1.0))
        share = worst["rmse"] / (worst["std"] or 1.0)
        return f"Least exact is {worst['name']}: its RMSE is {share:.2f} standard deviations"
    half, most = (
        significant(float(q)) for q in np.quantile(np.linalg.norm(apart, axis=1), (0.5, 0.9))
    )
    return f"Half of the images are off by less than {half}, nine of ten by less than {most}"


def maps(smallest: str, largest: str) -> str:
    """Give the range of the shapes of the feature map."""
    if smallest == largest:
        return f"The feature map is {smallest}"
    return f"The feature map goes from {smallest} to {largest}"
