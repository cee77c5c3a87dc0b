"""The table of a study: one row for each head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headfit.errors import UsageError
from headfit.report.text import metrics
from headfit.report.text.metrics import METRICS, metric_of

if TYPE_CHECKING:
    import pandas as pd


def columns(results: Mapping[str, Any]) -> tuple[str, ...]:
    """Give what a person reads above each text of :func:`shown`, beside the name of a head."""
    key = metrics.primary(results["verdict"])
    metric, loss = METRICS[key], METRICS[metrics.loss_key(key)]
    return (
        metric.heading,
        "95 % interval",
        loss.heading,
        "parameters",
        "% of model",
        "overfit, points" if metric.is_share else f"overfit, {metric.name}",
        "training, s",
    )


def ranked(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the candidates, the best first."""
    key = metrics.primary(results["verdict"])
    return sorted(results["candidates"], key=lambda candidate: -candidate[key]["mean"])


def table_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Flatten ``results`` to a row for each candidate, the best first."""
    key = metrics.primary(results["verdict"])
    return [_row(candidate, key) for candidate in ranked(results)]


def data_frame(records: list[dict[str, Any]], index: str) -> pd.DataFrame:
    """Make a data frame of records; one of their keys becomes its index.

    Raises:
        UsageError: if pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415  (optional)
    except ImportError:
        raise UsageError(
            "to_pandas() needs pandas, which is not installed. Run: pip install 'headfit[pandas]', "
            "or use table(), which gives a list of records."
        ) from None
    return pd.DataFrame(records).set_index(index)


def shown(row: dict[str, Any], verdict: Mapping[str, Any]) -> list[str]:
    """Write a row as a person reads it, a text for each of :func:`columns`.

    Args:
        row: of :func:`table_rows`.
        verdict: the ``verdict`` object of ``results.json``.
    """
    key, metric = metrics.primary(verdict), metric_of(verdict)
    loss = metrics.loss_key(key)
    return [
        metric.plain(row[key]),
        metric.ends(row, "–"),
        METRICS[loss].plain(row[loss]),
        f"{row['parameters']:,}",
        f"{100 * row['share']:.1f}",
        metric.plain(row["overfit_gap"]),
        f"{row['train_seconds']:.1f}",
    ]


def trained_parameters(candidate: dict[str, Any]) -> int:
    """Count what is trained: the head, and in a fine-tuning the part of the backbone too."""
    parameters = candidate["parameters"]
    return int(parameters.get("trained", parameters["head"]))


def _row(candidate: dict[str, Any], key: str) -> dict[str, Any]:
    score, parameters, loss = candidate[key], candidate["parameters"], metrics.loss_key(key)
    return {
        "head": candidate["name"],
        key: score["mean"],
        "low": score["low"],
        "high": score["high"],
        loss: candidate[loss]["mean"],
        "parameters": trained_parameters(candidate),
        "share": trained_parameters(candidate) / parameters["total"],
        "overfit_gap": candidate["overfit_gap"]["mean"],
        "train_seconds": candidate["train_seconds"],
    }
