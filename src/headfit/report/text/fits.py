"""What a reader should know of a head's fits, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from headfit.report.text.numbers import percent


def fit_warnings(head: str, notes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Say why the scores of a head are approximate, or could be better.

    Args:
        head: its name.
        notes: of :class:`headfit.fitting.problem.CrossValidation`.
    """
    return [f"{head}: {_SENTENCES[note['code']](note)}" for note in notes]


def _projected(note: Mapping[str, Any]) -> str:
    return (
        f"for {note['images']:,} images its features are approximated by those of "
        f"{note['spanned_by']:,} of them, which keeps {percent(note['variance_share'])} % of their "
        f"variance; its scores are approximate."
    )


def _edge(note: Mapping[str, Any]) -> str:
    return (
        f"the best penalty, {note['penalty']:g}, lies at the edge of the grid; a value beyond it "
        f"may be better."
    )


def _unfinished(note: Mapping[str, Any]) -> str:
    return f"{note['fits']} fits ran out of steps; their scores are approximate."


_SENTENCES = {"projected": _projected, "edge": _edge, "unfinished": _unfinished}
