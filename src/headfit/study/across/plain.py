"""Rows of a board, which are plain data, as runs to summarise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headfit.fitting.kinds import KINDS
from headfit.study.across.rows import Row
from headfit.study.across.summary import conclude


def summarise(rows: Sequence[Mapping[str, Any]], seed: int = 0) -> dict[str, Any] | None:
    """Compare heads over the data sets of a board.

    Args:
        rows: those of :func:`headfit.board.rows.row_of`, of one metric.
        seed: of the draws of the Bayesian test and of the bootstrap.

    Returns:
        See :func:`headfit.study.across.summary.conclude`; None if no row has a head with a score in
        every fold.
    """
    runs = rows_of(rows)
    return conclude(runs, float(rows[0]["rope"]), seed) if runs else None


def rows_of(rows: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Give the runs that the rows of a board describe.

    Rows are of one data set if they are of one source, or of the same images. A head without a
    score in some fold is left out, and so is a row without heads.

    Args:
        rows: with ``source``, ``data`` (a digest of the images), ``backbone``, ``metric``,
            ``kind``, ``heads`` (of each ``folds``), ``folds``, ``map_shape``, ``images``,
            ``images_a_class`` and ``position_share``.
    """
    first: dict[str, str] = {}  # the source that images were first seen in
    runs = []
    for row in rows:
        home = first.setdefault(row["data"], row["source"])
        folds = {name: head["folds"] for name, head in row["heads"].items()}
        scores = {name: values for name, values in folds.items() if None not in values}
        if scores:
            height, width, _ = row["map_shape"]
            runs.append(
                Row(
                    data_set=home,
                    backbone=row["backbone"],
                    metric=row["metric"],
                    scores=scores,
                    folds=row["folds"],
                    positions=height * width,
                    images=row["images"],
                    images_per_class=row["images_a_class"],
                    position_share=row["position_share"],
                    overlap=KINDS[row["kind"]].overlap,
                )
            )
    return runs
