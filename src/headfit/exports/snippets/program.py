"""The programs beside an export: some ten lines for each format, and the decoder that they share.

``decode.py`` reads an image with Pillow and numpy by the contract in a model's own metadata: the
rules of :mod:`headfit.images.decode` for images of 8 bits, and for grey of more than 8 bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.exports.record import ExportRecord
from headfit.fitting.label_metrics import THRESHOLD
from headfit.util import files

DECODER = "decode.py"
WEB, WEB_DECODER = "predict_onnx_web.mjs", "decode.mjs"


@dataclass(frozen=True)
class Runtime:
    """How a program runs one format.

    Attributes:
        packages: what pip installs.
        modules: lines that import them.
        run: lines from ``model``, a path, to ``record`` and ``OUTPUT``, which stands for
            ``probabilities`` or ``values``, float32 (K,).
        standard: lines that import what comes with Python, besides ``json`` and ``sys``.
        decodes: whether the format decodes images by itself.
    """

    packages: str
    modules: tuple[str, ...]
    run: tuple[str, ...]
    standard: tuple[str, ...] = ()
    decodes: bool = False


RUNTIMES = {
    "onnx": Runtime(
        "onnxruntime",
        ("import onnxruntime",),
        (
            "session = onnxruntime.InferenceSession(model)",
            'record = json.loads(session.get_modelmeta().custom_metadata_map["headfit"])',
            "images = decode(sys.argv[1], record)",
            'OUTPUT = session.run(["OUTPUT"], {"images": images})[0][0]',
        ),
    ),
    "onnx_bytes": Runtime(
        "onnxruntime onnxruntime-extensions",
        ("import numpy as np", "import onnxruntime", "import onnxruntime_extensions"),
        (
            "options = onnxruntime.SessionOptions()",
            "options.register_custom_ops_library(onnxruntime_extensions.get_library_path())",
            "session = onnxruntime.InferenceSession(model, options)",
            'record = json.loads(session.get_modelmeta().custom_metadata_map["headfit"])',
            "image = np.fromfile(sys.argv[1], np.uint8)",
            'OUTPUT = session.run(["OUTPUT"], {"image": image})[0][0]',
        ),
        decodes=True,
    ),
    "openvino": Runtime(
        "openvino",
        ("import openvino",),
        (
            'network = openvino.Core().read_model(f"{model}/model.xml")',
            'record = json.loads(network.get_rt_info(["headfit"]).value)',
            'run = openvino.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})',
            "OUTPUT = run(decode(sys.argv[1], record))[0][0]",
        ),
    ),
    "keras": Runtime(
        "keras jax",
        ("import keras",),
        (
            'record = json.loads(zipfile.ZipFile(model).read("headfit.json"))["export"]',
            "network = keras.models.load_model(model, compile=False)",
            "OUTPUT = network.predict_on_batch(decode(sys.argv[1], record))[0]",
        ),
        ("import zipfile",),
    ),
    "saved_model": Runtime(
        "tensorflow",
        ("import tensorflow as tf",),
        (
            'record = json.loads(tf.io.read_file(f"{model}/assets.extra/headfit.json").numpy())',
            "loaded = tf.saved_model.load(model)",
            'run = loaded.signatures["serving_default"]',
            "outputs = run(images=tf.constant(decode(sys.argv[1], record)))",
            'OUTPUT = outputs["OUTPUT"].numpy()[0]',
        ),
    ),
    "litert": Runtime(
        "ai-edge-litert",
        ("from ai_edge_litert.interpreter import Interpreter",),
        (
            'record = json.loads(zipfile.ZipFile(model).read("headfit.json"))',
            "run = Interpreter(model).get_signature_runner()",
            'OUTPUT = run(images=decode(sys.argv[1], record))["OUTPUT"][0]',
        ),
        ("import zipfile",),
    ),
}
"""By name of the format."""


def programs(record: ExportRecord, models: Mapping[str, str]) -> dict[str, str]:
    """Write the programs for some formats.

    Args:
        record: of the model.
        models: by name of the format, what the exported file or folder is called.

    Returns:
        The text of each program, by its file name, in the order of ``models``: ``predict_onnx.py``
        and so on, and for ONNX also one in JavaScript. Before those that need it comes the decoder,
        ``decode.py`` or ``decode.mjs``, the same for every model.

    Example:

    ```python
    programs(record, {"onnx": "model.onnx"})["predict_onnx.py"]
    ```
    """
    texts: dict[str, str] = {}
    for name, model in models.items():
        if not RUNTIMES[name].decodes:
            texts.setdefault(DECODER, _rendered("decode.py.j2"))
        texts[f"predict_{name}.py"] = _python(name, model, record)
    if "onnx" in models:
        texts[WEB_DECODER] = _rendered("decode.mjs.j2")
        texts[WEB] = _web(record, models["onnx"])
    return texts


def write_programs(record: ExportRecord, models: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the programs into a folder and list their paths.

    Raises:
        WriteError: if one cannot be written.
    """
    paths = []
    for name, text in programs(record, models).items():
        files.write_text(folder / name, text)
        paths.append(folder / name)
    return paths


def _python(format: str, model: str, record: ExportRecord) -> str:
    runtime = RUNTIMES[format]
    decoder = [] if runtime.decodes else [f"from decode import decode  # {DECODER}, beside this"]
    return _rendered(
        "python.py.j2",
        name=f"predict_{format}.py",
        packages=runtime.packages + (" numpy" if runtime.decodes else " pillow numpy"),
        standard=["import json", "import sys", *runtime.standard],
        imports=[*runtime.modules, *decoder],
        model=model,
        run=[line.replace("OUTPUT", record.outputs[0]) for line in runtime.run],
        kind=record.target,
    )


def _web(record: ExportRecord, model: str) -> str:
    return _rendered(
        "web.mjs.j2",
        name=WEB,
        classes=json.dumps(record.classes),
        kind=record.target,
        thresholds=json.dumps(record.thresholds or [THRESHOLD] * len(record.classes)),
        height=record.contract.height,
        width=record.contract.width,
        model=model,
    )


def _rendered(template: str, **values: Any) -> str:
    import jinja2  # noqa: PLC0415  (heavy)

    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = Path(__file__).with_name(template).read_text("utf-8")
    return environment.from_string(text).render(**values)
