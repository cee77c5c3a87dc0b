"""Rows of a board, which are plain data, as runs to summarise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headfit.fitting.kinds import KINDS
from headfit.study.across.rows import Row
from headfit.study.across.summary import conclude


def summarise(rows: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, Any]:
    """Compare heads over the data sets of a board.

    Args:
        rows: those of :func:`headfit.board.rows.row_of`, of one metric.
        seed: of the draws of the Bayesian test and of the bootstrap.

    Returns:
        See :func:`headfit.study.across.summary.conclude`.
    """
    return conclude(rows_of(rows), float(rows[0]["rope"]), seed)


def rows_of(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Give the runs that the rows of a board describe.

    Rows are of one data set if they are of one source, or of the same images. A head without a
    score in some fold is left out.

    Args:
        rows: with ``source``, ``data`` (a digest of the images), ``backbone``, ``metric``,
            ``kind``, ``heads`` (of each ``folds``), ``folds``, ``map_shape``, ``images``,
            ``images_a_class`` and ``position_share``.
    """
    first: dict[str, str] = {}  # the source that images were first seen in
    return [
        Row(
            data_set=first.setdefault(each["data"], each["source"]),
            backbone=each["backbone"],
            metric=each["metric"],
            scores={
                name: head["folds"]
                for name, head in each["heads"].items()
                if None not in head["folds"]
            },
            folds=each["folds"],
            positions=each["map_shape"][0] * each["map_shape"][1],
            images=each["images"],
            images_per_class=each["images_a_class"],
            position_share=each["position_share"],
            overlap=KINDS[each["kind"]].overlap,
        )
        for each in rows
    ]
