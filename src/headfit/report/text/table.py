"""The table of a study: one row for each head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headfit.errors import UsageError
from headfit.report.text.numbers import percent

if TYPE_CHECKING:
    import pandas as pd

# what a person reads beside the name of a head; see :func:`shown`
COLUMNS = (
    "balanced accuracy, %",
    "95 % interval",
    "log-loss",
    "parameters",
    "% of model",
    "overfit, points",
    "training, s",
)


def table_rows(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Flatten ``results`` to a row for each candidate, best balanced accuracy first."""
    candidates = sorted(results["candidates"], key=lambda c: -c["balanced_accuracy"]["mean"])
    return [_row(candidate) for candidate in candidates]


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


def shown(row: dict[str, Any]) -> list[str]:
    """Write a row as a person reads it, a text for each of ``COLUMNS``."""
    return [
        percent(row["balanced_accuracy"]),
        f"{percent(row['low'])}–{percent(row['high'])}",
        f"{row['log_loss']:.3f}",
        f"{row['parameters']:,}",
        f"{100 * row['share']:.1f}",
        f"{100 * row['overfit_gap']:.1f}",
        f"{row['train_seconds']:.1f}",
    ]


def trained_parameters(candidate: dict[str, Any]) -> int:
    """Count what is trained: the head, and in a fine-tuning the part of the backbone too."""
    parameters = candidate["parameters"]
    return int(parameters.get("trained", parameters["head"]))


def _row(candidate: dict[str, Any]) -> dict[str, Any]:
    score, parameters = candidate["balanced_accuracy"], candidate["parameters"]
    return {
        "head": candidate["name"],
        "balanced_accuracy": score["mean"],
        "low": score["low"],
        "high": score["high"],
        "log_loss": candidate["log_loss"]["mean"],
        "parameters": trained_parameters(candidate),
        "share": trained_parameters(candidate) / parameters["total"],
        "overfit_gap": candidate["overfit_gap"]["mean"],
        "train_seconds": candidate["train_seconds"],
    }
