"""What a model card says of a run: how it was measured, and what its numbers do not show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.images.targets import CLASS, LABELS
from headfit.report.text.metrics import METRICS, metric_of
from headfit.report.text.numbers import enumerated
from headfit.report.text.reliability import calibration, held_out, kind_in, temperature
from headfit.report.text.targets import NOUNS, counted_names, kind_of
from headfit.util.nouns import counted

Results = Mapping[str, Any]
NAMED = 10  # classes or labels
WEAK = 0.5  # recall


def data(results: Results, trained: int) -> str:
    """Say how many images a model was trained on, and how many belong together.

    Args:
        results: content of ``results.json``.
        trained: number of training images.
    """
    kind, names = kind_of(results), results["images"]["classes"]
    of = "in" if kind == CLASS else "with"
    text = f"{counted(trained, 'image')} {of} {counted_names(kind, names)}."
    test = results.get("test")
    if test:
        text += f" Another {counted(test['images'], 'image')} were kept for the test split."
    near = results["groups"].get("near_duplicates")
    if near and near["images"]:
        text += (
            f" {counted(near['images'], 'image')} are near-duplicates of others; they stay in one "
            f"fold."
        )
    return text


def measured(results: Results) -> str:
    """Say how the scores were measured."""
    settings = results["settings"]
    folds = f"{settings['folds']} folds"
    if settings["repeats"] > 1:
        folds = f"{settings['repeats']} times {folds}"
    return (
        f"Cross-validated in {folds}: every image is predicted by a model that was not trained on "
        f"it. The intervals are 95 % intervals. The finished model is trained on all training "
        f"images."
    )


def metric(name: str, entry: Mapping[str, Any]) -> str:
    """Write a cross-validated score with its interval, where it is known."""
    if entry.get("mean") is None:
        return ""
    return METRICS[name].score({"low": None, "high": None, **entry})


def int8(accuracy: Mapping[str, Any]) -> str:
    """Say what 8-bit integers change in the accuracy, or in another metric.

    Args:
        accuracy: ``before`` and ``after``, on labelled images, and ``metric`` if it is another.
    """
    metric = METRICS[accuracy.get("metric", "accuracy")]
    before, after = (metric.value(accuracy[when]) for when in ("before", "after"))
    return f"8-bit integers change the {metric.name} on labelled images from {before} to {after}."


def from_bytes(decoding: Mapping[str, Any]) -> str:
    """Say what the decoder of a file changes.

    Args:
        decoding: ``golden``, the largest difference by name or None, and ``median_difference``.
    """
    golden = decoding["golden"]
    refused = [name for name, apart in golden.items() if apart is None]
    read = [f"{apart:.1g} for {name}" for name, apart in golden.items() if apart is not None]
    median = decoding["median_difference"]
    parts = [f"largest difference {', '.join(read)}"] if read else []
    if median is not None:
        parts.append(f"median for images of the run {median:.1g}")
    if refused:
        parts.append(f"refused, with an error: {', '.join(refused)}")
    return f"Decoded within the file: {'; '.join(parts)}."


def trust(reliability: Mapping[str, Any]) -> list[str]:
    """Say how far probabilities can be trusted, a sentence each."""
    if kind_in(reliability) != CLASS:
        return [held_out(reliability)]
    scaling = reliability["temperature"]
    first = calibration(reliability)
    applied = temperature(scaling)
    lines = [f"{first[0].upper()}{first[1:]}; {applied}."]
    if scaling["value"] != 1:
        lines.append(
            f"The exported probabilities are not calibrated. Divide their logarithms by the "
            f"temperature {scaling['value']:.2f} and normalise them again."
        )
    return [*lines, held_out(reliability)]


def limits(results: Results, reliability: Mapping[str, Any] | None) -> list[str]:
    """Say what the numbers of a run do not show, a sentence each."""
    lines = []
    heads = len(results["candidates"])
    if heads > 1:
        expected = results["verdict"]["expected_score"]
        if expected["mean"] is not None:
            lines.append(
                f"The head was chosen among {heads} on the same images, which flatters its score: "
                f"{metric_of(results['verdict']).expected(expected)}."
            )
    kind, rows = kind_of(results), reliability or {}
    told = rows.get("labels" if kind == LABELS else "classes", [])
    weak = [row for row in told if row["recall"] is not None and row["recall"] < WEAK]
    if weak:
        listed = [row["name"] for row in weak[:NAMED]]
        more = f" and {len(weak) - NAMED} more" if len(weak) > NAMED else ""
        lines.append(f"Fewer than half of the images of {enumerated(listed)}{more} are recognised.")
    rare = results["images"].get("rare") or {}
    if rare:
        listed = [f"{name} ({count})" for name, count in list(rare.items())[:NAMED]]
        lines.append(f"{NOUNS[kind][1].capitalize()} with very few images: {enumerated(listed)}.")
    if results["images"].get("class_balanced_loss"):
        lines.append(
            "The probabilities assume classes that are equally common: correct them where they "
            "are not."
        )
    return lines
