"""A record as a row of a board: checked, for anybody may have written the record."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headfit.report.text import metrics
from headfit.report.text.board import answer
from headfit.study.comparison.contrast import FLATTEN, GAP
from headfit.util import records

_PROBABILITIES = ("p_value", "p_rope", "p_better")
MOST_HEADS = 50  # every two of them are compared
LARGEST = 1e12  # of a score or a count: what is computed from them stays finite


def row_of(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Give the row of a record.

    Args:
        record: as :func:`headfit.board.record.read_record` gives it.
        path: its file, which names the row.

    Returns:
        Plain data: ``name``, ``source``; ``backbone``, ``weights``, ``input_size``, ``cut``,
        ``map_shape``; ``metric``, ``folds``, ``repeats``, ``rope``, ``statistics``; ``kind``,
        ``images``, ``classes``, ``images_a_class``; ``flatten`` (the word of the verdict),
        ``answer`` (in words), ``difference`` (flatten − gap), ``recommended``, ``best`` (head with
        the best mean), ``parameters`` of gap, flatten and the best; ``best_tau``,
        ``position_share``, ``claims``; ``heads``: of each mean, low, high and the score of every
        fold; ``data`` and ``drawn``, digests of the images and of their folds. Scores and
        differences are fractions; None is unknown.

    Raises:
        DataError: the record lacks values, or holds others than a run gives.
    """
    with records.reading(path, "lacks values that a board shows"):
        return _row(record, path.stem)


def _row(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    verdict, place, images = record["verdict"], record["place"], record["images"]
    key, protocol = record["metric"], record["protocol"]
    kind, names = metrics.kind_for(key), record["targets"]["names"]
    heads = {_text(each["head"]): _scored(each, key) for each in record["candidates"]}
    best = max(heads, key=lambda head: heads[head]["mean"])
    counts = images.get("counts")
    spectrum, difference = record.get("spectrum"), verdict["difference"]
    weights = {head: each["parameters"] for head, each in heads.items()}
    shape = [_count(side) for side in place["map_shape"]]
    if len(heads) > MOST_HEADS:
        raise ValueError(f"more than {MOST_HEADS} heads")
    if {len(each["folds"]) for each in heads.values()} != {protocol["folds"] * protocol["repeats"]}:
        raise ValueError("a head has not one score for each fold")
    if not 0 < float(protocol["rope"]) < 1 or protocol["folds"] < 2 or len(shape) != 3:
        raise ValueError("rope, folds or map_shape is out of range")
    return {
        "name": name,
        "source": _text(record["declaration"]["source"]),
        **{each: _text(place[each]) for each in ("backbone", "weights")},
        "input_size": _count(place["input_size"]),
        "cut": None if place["cut"] is None else _text(place["cut"]),
        "map_shape": shape,
        "metric": key,
        **{each: _count(protocol[each]) for each in ("folds", "repeats")},
        "rope": float(protocol["rope"]),
        "statistics": _count(record["statistics"], 0),
        "kind": kind,
        "images": _count(images["training"]),
        "classes": len(names),
        "images_a_class": sum(_count(each, 0) for each in counts.values()) / len(counts)
        if counts
        else None,
        "flatten": _text(verdict["flatten"]),
        "answer": answer(verdict),
        "difference": difference
        and {**_interval(difference), **{p: _number(difference.get(p)) for p in _PROBABILITIES}},
        "recommended": _text(verdict["recommended"]),
        "best": {"head": best, **{end: heads[best][end] for end in ("mean", "low", "high")}},
        "parameters": {
            "gap": weights.get(GAP),
            "flatten": weights.get(FLATTEN),
            "best": weights[best],
        },
        "best_tau": _number(spectrum["best"]) if spectrum else None,
        "position_share": _number(record.get("position_share")),
        "claims": _claims(record.get("claims")),
        "heads": heads,
        "data": _text(record["fingerprints"]["data"]),
        "drawn": _text(record["fingerprints"]["folds"]),
    }


def _scored(candidate: Mapping[str, Any], key: str) -> dict[str, Any]:
    score = candidate[key]
    folds = [_number(value) for value in score["folds"]]
    return {**_interval(score), "parameters": _count(candidate["parameters"], 0), "folds": folds}


def _claims(claims: Any) -> dict[str, float]:
    """Give what would have been claimed, minus the honest score, by the kind of mistake."""
    if not claims:
        return {}
    return {_text(name): _value(value) for name, value in claims.items()}


def _interval(score: Mapping[str, Any]) -> dict[str, float | None]:
    low, high = (_number(score.get(end)) for end in ("low", "high"))
    known = low is not None and high is not None
    return {
        "mean": _value(score["mean"]),
        "low": low if known else None,
        "high": high if known else None,
    }


def _number(value: Any) -> float | None:
    return None if value is None else _value(value)


def _value(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > LARGEST:
        raise ValueError(f"{str(value)[:20]} is no number that a run gives")
    return float(value)


def _count(value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= LARGEST:
        raise ValueError(f"{str(value)[:20]} is no count that a run gives")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:20]} is no text")
    return value
