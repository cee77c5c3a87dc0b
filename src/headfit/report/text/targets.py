"""What a run predicts, in words: classes, labels or numbers, and how many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headfit.images import overview
from headfit.images.targets import CLASS, NUMBER
from headfit.report.text.numbers import enumerated
from headfit.util.nouns import counted

NOUNS = overview.NOUNS
NAMED = 4  # numbers


def kind_of(results: Mapping[str, Any]) -> str:
    """Give the kind of target: ``"class"``, ``"labels"`` or ``"number"``.

    Args:
        results: content of ``results.json``; old runs are of classes, and do not say so.
    """
    return str((results.get("targets") or {}).get("kind", CLASS))


def names_of(results: Mapping[str, Any]) -> list[str]:
    """Give the names of the classes, labels or numbers, in the order of a model's outputs."""
    if targets := results.get("targets"):
        return list(targets["names"])
    return [row["name"] for row in results["reliability"]["classes"]]


def counted_names(kind: str, names: Mapping[str, Any] | list[str]) -> str:
    """Say what is predicted: ``3 classes``, ``20 labels``, ``numbers x and y``.

    Args:
        kind: of target.
        names: of the classes, labels or numbers.
    """
    if kind != NUMBER or len(names) > NAMED:
        return counted(len(names), *NOUNS[kind])
    return f"{NOUNS[NUMBER][len(names) > 1]} {enumerated(list(names))}"
