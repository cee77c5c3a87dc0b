"""Position in words: does it matter where things are, and does the trained Flatten use it?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.report.text.numbers import enumerated, percent, point_range, points
from headfit.report.text.verdict import blind_does
from headfit.study.position.spectrum import leading_prior

HARDLY = 0.02  # a drop that need not concern anybody, a fraction


def sentence(where: Mapping[str, Any], verdict: Mapping[str, Any], images: int) -> str:
    """Say whether position matters, and whether the trained flatten head uses it.

    Args:
        where: the ``where`` object of ``results.json``.
        verdict: the ``verdict`` object.
        images: number of images of the study; ``where`` may rest on a sample of them.
    """
    sample = where["images"]
    part = f" (Measured on {sample:,} of {images:,} images.)" if sample < images else ""
    return f"{conclusion(where, verdict)} {_use(where['shuffle'])}{part}"


def conclusion(where: Mapping[str, Any], verdict: Mapping[str, Any]) -> str:
    """Say whether position matters: in balanced accuracy and by the verdict's own test.

    Args:
        where: the ``where`` object of ``results.json``.
        verdict: the ``verdict`` object.
    """
    curve, lead = where["spectrum"]["curve"], leading_prior(where["spectrum"])
    gap, flatten = (percent(curve[end]["balanced_accuracy"]["mean"]) for end in (0, -1))
    if blind_does(verdict):
        return (
            f"Position is not needed: flatten has {flatten} % balanced accuracy and gap {gap} %, "
            f"but a head that ignores position is as good as flatten."
        )
    if verdict["flatten"] == "ahead":
        return (
            f"Whether position is needed is open: flatten has {flatten} % balanced accuracy and "
            f"gap {gap} %, but a cheaper head may be as good as flatten."
        )
    if verdict["flatten"] in ("necessary", "position_needed"):
        between = ""
        if lead and lead["balanced_accuracy"]["mean"] > curve[-1]["balanced_accuracy"]["mean"]:
            score = percent(lead["balanced_accuracy"]["mean"])
            between = f", and {score} % with a prior between them (τ = {lead['tau']:g})"
        return (
            f"Position matters: balanced accuracy is {gap} % with gap, {flatten} % with "
            f"flatten{between}."
        )
    if lead:
        ahead = lead["ahead_of_gap"]
        undecided = verdict["flatten"] == "undecided"
        does = "for flatten this is undecided" if undecided else "flatten does not"
        return (
            f"Some position helps: spatial_prior with τ = {lead['tau']:g} scores "
            f"{points(ahead['mean'])} above gap ({point_range(ahead, signed=False)}), but {does}."
        )
    spread = f"nothing between gap ({gap} %) and flatten ({flatten} %) scores above gap"
    if verdict["flatten"] == "undecided":
        return f"Whether position matters is undecided: {spread} beyond the noise."
    return f"No effect of position was found: {spread} beyond the noise."


def shift(curves: Mapping[str, Any]) -> str:
    """Say what the largest shift of the image does to each head.

    Args:
        curves: by head, the points of its curve, as in ``where.shift.curves`` of ``results.json``.
    """
    last = {name: points[-1] for name, points in curves.items()}
    parts = [
        f"{name}'s logits by {percent(point['change']['mean'], 0)} % and "
        f"{percent(point['flipped'], 0)} % of its predictions"
        for name, point in last.items()
    ]
    pixels = next(iter(last.values()))["pixels"]
    return f"Moving the image by {pixels} pixels changes {enumerated(parts)}."


def _use(shuffle: Mapping[str, Any]) -> str:
    drop = shuffle["drop"]
    scores = f"from {percent(shuffle['plain'])} % to {percent(shuffle['shuffled'])} %"
    if drop["low"] > 0:
        return (
            f"The trained flatten head uses position: shuffling the positions of each map lowers "
            f"it {scores}."
        )
    if max(abs(drop["low"]), abs(drop["high"])) <= HARDLY:
        return (
            f"The trained flatten head hardly uses position: shuffling the positions of each map "
            f"changes it {scores}."
        )
    return (
        f"Whether the trained flatten head uses position is unclear: shuffling the positions of "
        f"each map costs {points(drop['mean'], signed=True)} ({point_range(drop)})."
    )
