"""A written file in its own runtime, in a process of its own.

TensorFlow takes seconds to import, writes to the terminal, and does not always share a process with
JAX and OpenVINO. The interpreter of LiteRT writes to the terminal too. So both run in a process
that takes images and gives outputs, until nobody refers to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from headfit.errors import EngineError
from headfit.util.child import importable

AT_ONCE = 32
"""Images that a runtime is given at once."""
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1", "CUDA_VISIBLE_DEVICES": ""}


class Runtime:
    """Runs a file; its process ends with the last reference.

    Args:
        format: ``"saved_model"`` or ``"litert"``.
        path: what was written.
        threads: how many it may use; its own choice if None.

    Raises:
        EngineError: if the runtime refuses the file.
    """

    def __init__(self, format: str, path: Path, threads: int | None = None) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "headfit.exports.formats.runtime_child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | QUIET | {"PYTHONPATH": os.pathsep.join(importable())},
            )
        except OSError as error:
            raise EngineError(f"No process can be started to run '{path}': {error}.") from error
        weakref.finalize(self, _end, self._process)
        self._path = path
        self._send({"format": format, "path": str(path.absolute()), "threads": threads})
        self._answer()

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Run images.

        Args:
            images: uint8 (n, H, W, 3).

        Returns:
            float32 (n, K), or (n, K + 1) with the outlier score last.

        Raises:
            EngineError: if the runtime cannot run them.
        """
        starts = range(0, len(images), AT_ONCE)
        return np.concatenate([self._run(images[start : start + AT_ONCE]) for start in starts])

    def _run(self, images: np.ndarray) -> np.ndarray:
        self._send({"shape": images.shape}, np.ascontiguousarray(images).data)
        outputs = np.empty(self._answer()["shape"], np.float32)
        receive = self._process.stdout
        assert receive is not None
        if receive.readinto(outputs.reshape(-1).view(np.uint8)) < outputs.nbytes:  # type: ignore[attr-defined]
            raise self._broken()
        return outputs

    def _send(self, request: dict[str, Any], data: Any = b"") -> None:
        send = self._process.stdin
        assert send is not None
        try:
            send.write(json.dumps(request).encode() + b"\n")
            send.write(data)
            send.flush()
        except OSError:
            raise self._broken() from None

    def _answer(self) -> dict[str, Any]:
        receive = self._process.stdout
        assert receive is not None
        line = receive.readline()
        if not line:
            raise self._broken()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise EngineError(f"'{self._path}' cannot be run: {answer['error']}")
        return answer

    def _broken(self) -> EngineError:
        return EngineError(
            f"The process that runs '{self._path}' ended with code {self._process.wait()}."
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            pipe.close()  # type: ignore[union-attr]
