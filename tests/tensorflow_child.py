"""What tests ask of a child process on TensorFlow, all at once: importing it takes longest."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np


def importable() -> dict[str, Any]:
    with contextlib.suppress(ImportError):
        importlib.import_module("tensorflow")
        return {"importable": True}
    return {"importable": False, "installed": importlib.util.find_spec("tensorflow") is not None}


def work(
    requests: list[dict[str, Any]], saved_model: str, pixels: str, outputs: str, command: list[str]
) -> dict[str, Any]:
    """Write LiteRT files, run a SavedModel, and run a program.

    Returns:
        ``printed`` by the program.
    """
    from headfit.exports.formats.litert import LiteRTRequest  # noqa: PLC0415
    from headfit.exports.formats.litert_child import write_litert  # noqa: PLC0415
    from headfit.exports.formats.runtime_child import OPEN, joined  # noqa: PLC0415

    for fields in requests:
        write_litert(LiteRTRequest(**fields))
    np.save(outputs, joined(OPEN["saved_model"](saved_model, None)(np.load(pixels))))
    sys.argv = command
    sys.path.insert(0, str(Path(command[0]).parent))  # as if it had been started
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        runpy.run_path(command[0])
    return {"printed": printed.getvalue()}
