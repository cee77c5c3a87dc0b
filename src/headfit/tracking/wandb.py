"""A run in Weights & Biases: without network, unless its environment variables say otherwise."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from headfit.tracking.environment import defaults
from headfit.tracking.record import RunRecord

PROJECT = "headfit"


def packages() -> tuple[str, ...]:
    """Name the packages that are needed."""
    return ("wandb",)


def mode() -> Any:
    """Give the mode: that of ``WANDB_MODE``, else online with ``WANDB_API_KEY``, else offline."""
    default = "online" if os.environ.get("WANDB_API_KEY") else "offline"
    return os.environ.get("WANDB_MODE") or default


def write(record: RunRecord) -> str:
    """Record a run; return where. The project is ``WANDB_PROJECT``, else ``headfit``."""
    with defaults(WANDB_ERROR_REPORTING="false"):  # else its makers are told of its errors
        return _write(record)


def _write(record: RunRecord) -> str:
    import wandb  # noqa: PLC0415  (an extra, and heavy)

    # what it would gather by itself: the terminal's text, the code, packages, machine and user
    settings = wandb.Settings(
        console="off",
        silent=True,
        host=os.environ.get("WANDB_HOST", ""),
        disable_code=True,
        disable_git=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )
    config = {**record.parameters, "command": record.command}
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or PROJECT,
        name=record.name,
        job_type=record.kind,
        # else the folder in which this process first used wandb, which may not be the current one
        dir=os.environ.get("WANDB_DIR") or str(Path.cwd()),
        notes=record.verdict,
        config=config,
        mode=mode(),
        reinit="create_new",  # a run of the user's own goes on
        settings=settings,
    )
    try:
        with tempfile.TemporaryDirectory(prefix="headfit-") as scratch:
            _log(run, record, Path(scratch))
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish()
    if run.disabled:
        return "nowhere, as WANDB_MODE=disabled says"
    folder = Path(run.settings.sync_dir)
    return f"{folder} (to send it: wandb sync {folder})" if run.offline else str(run.url)


def _log(run: Any, record: RunRecord, folder: Path) -> None:
    import wandb  # noqa: PLC0415  (an extra)

    for axis, several in record.series.items():
        rows: dict[int, dict[str, float]] = {}
        run.define_metric(axis, hidden=True)
        for name, points in several.items():
            run.define_metric(name, step_metric=axis, summary="none")
            for step, value in points:
                rows.setdefault(step, {axis: step})[name] = value
        for step in sorted(rows):
            run.log(rows[step])
    for name, content in record.figures.items():
        path = folder / f"{name}.png"
        path.write_bytes(content)
        run.log({f"figures/{name}": wandb.Image(str(path))})
    run.summary.update(record.metrics)
    artifact = wandb.Artifact(f"headfit-{run.id}", type="model", description=record.verdict)
    for path in record.files:
        artifact.add_file(str(path), name=path.name)
    run.log_artifact(artifact)
