"""Ask a framework for its graphics processor, in a process that may die of a broken driver."""

from __future__ import annotations

import importlib
import os
from typing import Any

from headfit.backbones.engines.gpu import DeviceRequest, usable_device


def device(_: DeviceRequest) -> dict[str, Any]:
    """Give ``device``, the name of a graphics processor or an empty string."""
    return {"device": usable_device(os.environ["KERAS_BACKEND"], importlib.import_module)}
