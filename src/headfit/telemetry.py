"""Nothing that headfit runs reports on its user."""

from __future__ import annotations

import sys
from typing import Any, cast


def switch_off() -> None:
    """Keep OpenVINO from reporting; call it before the first import of OpenVINO or Keras.

    Unless its user opted out beforehand, ``import openvino`` tells Google Analytics of each import,
    from a forked process (which JAX warns of), and leaves an identifier in the home folder. It
    does neither where its package ``openvino_telemetry`` is absent, so that is made to look absent.
    """
    if "openvino_telemetry" not in sys.modules:
        cast(dict[str, Any], sys.modules)["openvino_telemetry"] = None
