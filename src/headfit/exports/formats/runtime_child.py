"""The process that runs a SavedModel or a LiteRT file: images on its input, outputs on its output.

Neither Keras nor headfit's engines take part: only TensorFlow, or only LiteRT's interpreter.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

MAX_REASON = 300  # characters of a foreign error that are passed on
OUTLIER_SCORE = "outlier_score"
Run = Callable[[np.ndarray], dict[str, np.ndarray]]


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    # what libraries print must not get between the answers
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    run: Run | None = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        outputs = np.empty(0, np.float32)
        try:
            if run is None:
                run = OPEN[request["format"]](request["path"], request["threads"])
            else:
                outputs = joined(run(_images(request["shape"])))
            answer: dict[str, Any] = {"shape": outputs.shape}
        except Exception as error:  # whatever a runtime raises
            reason = " ".join(str(error).split())[:MAX_REASON] or type(error).__name__
            answer, outputs = {"error": reason}, np.empty(0, np.float32)
        out.write(json.dumps(answer).encode() + b"\n")
        out.write(outputs.data)
        out.flush()


def _images(shape: list[int]) -> np.ndarray:
    images = np.empty(shape, np.uint8)
    sys.stdin.buffer.readinto(images.reshape(-1))  # type: ignore[union-attr]
    return images


def joined(outputs: dict[str, np.ndarray]) -> np.ndarray:
    """Put the outputs side by side, the outlier score last."""
    names = sorted(outputs, key=lambda name: name == OUTLIER_SCORE)
    rows = [np.asarray(outputs[name], np.float32) for name in names]
    return np.ascontiguousarray(np.concatenate([row.reshape(len(row), -1) for row in rows], axis=1))


def _saved_model(path: str, threads: int | None) -> Run:
    import tensorflow as tf  # noqa: PLC0415  (optional)

    if threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    loaded = tf.saved_model.load(path)
    signature = loaded.signatures["serving_default"]

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        assert loaded is not None  # its variables live as long as it does
        outputs = signature(images=tf.constant(images))
        return {name: value.numpy() for name, value in outputs.items()}

    return run


def _litert(path: str, threads: int | None) -> Run:
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415  (optional)

    signature = Interpreter(path, num_threads=threads).get_signature_runner()
    return lambda images: dict(signature(images=images))


OPEN: dict[str, Callable[[str, int | None], Run]] = {
    "saved_model": _saved_model,
    "litert": _litert,
}

if __name__ == "__main__":
    _main()
