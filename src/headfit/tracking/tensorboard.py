"""A run as event files for TensorBoard, in the folder ``tensorboard`` of the run.

Event files hold no other files, so the model is named in them and lies beside them.
"""

from __future__ import annotations

import io
import time
from pathlib import Path

from headfit.tracking.record import RunRecord

FOLDER = "tensorboard"


def packages() -> tuple[str, ...]:
    """Name the packages that are needed; TensorBoard itself only shows what is written."""
    return ("tensorboardX",)


def write(record: RunRecord) -> str:
    """Record a run; return the folder."""
    import numpy as np  # noqa: PLC0415  (not for --help)
    from PIL import Image  # noqa: PLC0415
    from tensorboardX import SummaryWriter  # noqa: PLC0415  (an extra)
    from tensorboardX.summary import hparams  # noqa: PLC0415

    folder = _new_folder(record.folder.resolve() / FOLDER)
    main = {name: v for name, v in record.metrics.items() if name.startswith("recommended/")}
    with SummaryWriter(logdir=str(folder)) as writer:
        # its own method would write them as another run
        for part in hparams(record.parameters, main):
            writer.file_writer.add_summary(part)
        for name, value in record.metrics.items():
            writer.add_scalar(name, value, 0)
        for several in record.series.values():
            for name, points in several.items():
                for step, value in points:
                    writer.add_scalar(name, value, step)
        for name, content in record.figures.items():
            pixels = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
            writer.add_image(f"figures/{name}", pixels, 0, dataformats="HWC")
        writer.add_text("verdict", record.verdict, 0)
        writer.add_text("command", f"    {record.command}", 0)
        writer.add_text("files", "\n".join(f"- {path.resolve()}" for path in record.files), 0)
    return str(folder)


def _new_folder(parent: Path) -> Path:
    """Make a folder of a run's own: TensorBoard shows each folder as a run."""
    name, number = time.strftime("%Y-%m-%d_%H-%M-%S"), 1
    while True:
        folder = parent / (name if number == 1 else f"{name}_{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return folder
