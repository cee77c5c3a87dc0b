"""A run in MLflow: where ``MLFLOW_TRACKING_URI`` says, else in ``mlflow.db`` in this folder."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from headfit.tracking.environment import defaults
from headfit.tracking.record import RunRecord

EXPERIMENT = "headfit"
_METRICS, _OTHERS = 1000, 100  # of one request
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # else importing it sends statistics to its makers
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # else a server that is gone is asked for minutes
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def packages() -> tuple[str, ...]:
    """Name the packages that are needed."""
    local = not os.environ.get("MLFLOW_TRACKING_URI")
    return ("mlflow", "sqlalchemy", "alembic") if local else ("mlflow",)


def write(record: RunRecord) -> str:
    """Record a run; return where.

    The experiment is the one that ``MLFLOW_EXPERIMENT_NAME`` names, else ``headfit``.
    """
    with defaults(**_ENVIRONMENT):
        return _write(record)


def _write(record: RunRecord) -> str:
    import mlflow  # noqa: PLC0415  (an extra, and heavy)

    client = mlflow.MlflowClient()
    tags = {"headfit.kind": record.kind, "headfit.command": record.command}
    tags |= {"mlflow.note.content": record.verdict}
    run = client.create_run(_experiment(client), run_name=record.name, tags=tags)
    number = run.info.run_id
    try:
        _log(client, number, record)
    except BaseException:
        client.set_terminated(number, "FAILED")
        raise
    client.set_terminated(number)
    return f"{mlflow.get_tracking_uri()}, run {number}"


def _experiment(client: Any) -> str:
    if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return number
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    known = client.get_experiment_by_name(name)
    return str(known.experiment_id if known else client.create_experiment(name))


def _log(client: Any, run: str, record: RunRecord) -> None:
    from mlflow.entities import Metric, Param  # noqa: PLC0415  (an extra)

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, 0) for name, value in record.metrics.items()]
    for several in record.series.values():
        metrics += [
            Metric(name, value, now, step)
            for name, points in several.items()
            for step, value in points
        ]
    for part in _parts(metrics, _METRICS):
        client.log_batch(run, metrics=part)
    for part in _parts([Param(k, str(v)) for k, v in record.parameters.items()], _OTHERS):
        client.log_batch(run, params=part)
    with tempfile.TemporaryDirectory(prefix="headfit-") as folder:
        for name, content in record.figures.items():
            (Path(folder) / f"{name}.png").write_bytes(content)
        client.log_artifacts(run, folder, "figures")
    for path in record.files:
        client.log_artifact(run, str(path), "model" if path.suffix == ".keras" else None)


def _parts(values: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    yield from (values[start : start + size] for start in range(0, len(values), size))
