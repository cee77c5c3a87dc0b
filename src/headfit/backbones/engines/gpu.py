"""Is there a graphics processor here that Keras' backend can use?

If the system shows none, nothing is imported and no process is started. Written from the
documentation of the frameworks; not tested on a machine with such a processor.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.errors import EngineError
from headfit.util import child

# NVIDIA, AMD, and either of them below Windows
NODES = ("nvidia[0-9]*", "kfd", "dxg")
DEV = Path("/dev")


@dataclass(frozen=True)
class DeviceRequest(child.Request):
    """Name the device that the framework in ``KERAS_BACKEND`` would compute on."""

    function = "headfit.backbones.engines.gpu_child:device"


def device_nodes(dev: Path = DEV) -> list[Path]:
    """List what the system shows of graphics processors that can compute."""
    return sorted(node for pattern in NODES for node in dev.glob(pattern))


def find_gpu(backend: str, tell: Callable[[str], None], dev: Path = DEV) -> str:
    """Name the graphics processor that a Keras backend can use, or give an empty string.

    Args:
        backend: of Keras.
        tell: called with a message if there is one that cannot be used.
        dev: where the system shows its devices.
    """
    nodes = device_nodes(dev)
    if not nodes:
        return ""
    try:
        # in a process of its own: a framework that meets a broken driver may take all down
        device = str(child.call(DeviceRequest(), backend=backend)["device"])
        reason = "it was installed without support for it, or its driver is missing"
    except EngineError as error:
        device, reason = "", str(error)
    if not device:
        tell(f"Keras' backend {backend} cannot use the graphics processor {nodes[0]}: {reason}.")
    return device


def usable_device(backend: str, load: Callable[[str], Any]) -> str:
    """Name the device that a framework would compute on, or give an empty string.

    Args:
        backend: ``"jax"``, ``"tensorflow"`` or ``"torch"``; any other has none.
        load: imports a module by its name.
    """
    if backend == "jax":
        jax = load("jax")
        on_gpu = jax.default_backend() in {"gpu", "cuda", "rocm"}
        return str(jax.devices()[0].device_kind) if on_gpu else ""
    if backend == "tensorflow":
        devices = load("tensorflow").config.list_physical_devices("GPU")
        return str(devices[0].name) if devices else ""
    if backend == "torch":
        cuda = load("torch").cuda
        return str(cuda.get_device_name(0)) if cuda.is_available() else ""
    return ""


def insist_on_float32(backend: str, load: Callable[[str], Any] = importlib.import_module) -> None:
    """Switch off TF32, which rounds float32 to 10 bits in convolutions unless told not to."""
    if backend == "jax":
        load("jax").config.update("jax_default_matmul_precision", "highest")
    elif backend == "tensorflow":
        load("tensorflow").config.experimental.enable_tensor_float_32_execution(False)
    elif backend == "torch":
        backends = load("torch").backends
        backends.cuda.matmul.allow_tf32 = backends.cudnn.allow_tf32 = False
