"""The programs, made from the record that travels with a model.

The part that reads an image is written out from the contract, with Pillow and numpy: the rules of
:mod:`headfit.images.decode` for images of 8 bits, and for grey of more than 8 bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.exports.record import ExportRecord
from headfit.util import files

WEB = "predict_onnx_web.mjs"
START = "model = sys.argv"  # where a program's own lines begin


@dataclass(frozen=True)
class Runtime:
    """How a program runs one format.

    Attributes:
        packages: what pip installs.
        modules: lines that import them and numpy.
        run: lines from ``model``, a path, to ``record`` and ``probabilities``, float32 (K,).
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
        ("import numpy as np", "import onnxruntime"),
        (
            "session = onnxruntime.InferenceSession(model)",
            'record = json.loads(session.get_modelmeta().custom_metadata_map["headfit"])',
            'probabilities = session.run(["probabilities"], {"images": pixels(sys.argv[1])})[0][0]',
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
            'probabilities = session.run(["probabilities"], {"image": image})[0][0]',
        ),
        decodes=True,
    ),
    "openvino": Runtime(
        "openvino",
        ("import numpy as np", "import openvino"),
        (
            'network = openvino.Core().read_model(f"{model}/model.xml")',
            'record = json.loads(network.get_rt_info(["headfit"]).value)',
            'exact = {"INFERENCE_PRECISION_HINT": "f32"}',
            'run = openvino.compile_model(network, "CPU", exact)',
            "probabilities = run(pixels(sys.argv[1]))[0][0]",
        ),
    ),
    "keras": Runtime(
        "keras jax",
        ("import keras", "import numpy as np"),
        (
            'record = json.loads(zipfile.ZipFile(model).read("headfit.json"))',
            "network = keras.models.load_model(model, compile=False)",
            "probabilities = network.predict_on_batch(pixels(sys.argv[1]))[0]",
        ),
        ("import zipfile",),
    ),
    "saved_model": Runtime(
        "tensorflow",
        ("import numpy as np", "import tensorflow as tf"),
        (
            'record = json.loads(Path(model, "assets.extra/headfit.json").read_text("utf-8"))',
            "loaded = tf.saved_model.load(model)",
            'run = loaded.signatures["serving_default"]',
            "outputs = run(images=tf.constant(pixels(sys.argv[1])))",
            'probabilities = outputs["probabilities"].numpy()[0]',
        ),
        ("from pathlib import Path",),
    ),
    "litert": Runtime(
        "ai-edge-litert",
        ("import numpy as np", "from ai_edge_litert.interpreter import Interpreter"),
        (
            'record = json.loads(zipfile.ZipFile(model).read("headfit.json"))',
            "run = Interpreter(model).get_signature_runner()",
            'probabilities = run(images=pixels(sys.argv[1]))["probabilities"][0]',
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
        and so on, and for ONNX also one in JavaScript.

    Example:

    ```python
    programs(record, {"onnx": "model.onnx"})["predict_onnx.py"]
    ```
    """
    texts: dict[str, str] = {}
    for name, model in models.items():
        if name in RUNTIMES:
            texts[f"predict_{name}.py"] = _python(record, name, model)
        if name == "onnx":
            texts[WEB] = _web(record, model)
    return texts


def excerpt(text: str) -> str:
    """Give what of a program in Python differs from those of other formats."""
    imports, _, rest = text.partition("\n\n\ndef ")
    own = [line for line in imports.splitlines() if "import" in line and "PIL" not in line]
    return "\n".join([*own, "", f"{START}{rest.partition(START)[2]}"])


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


def _python(record: ExportRecord, format: str, model: str) -> str:
    contract, runtime = record.contract, RUNTIMES[format]
    depth = contract.depth
    spans = {"I": depth.integers or (0.0, 65535.0), "F": depth.floats or (0.0, 1.0)}
    return _rendered(
        "python.py.j2",
        name=f"predict_{format}.py",
        packages=runtime.packages + (" numpy" if runtime.decodes else " pillow numpy"),
        standard=["import json", "import sys", *runtime.standard],
        imports=[
            *runtime.modules,
            *([] if runtime.decodes else ["from PIL import Image, ImageOps"]),
        ],
        decodes=runtime.decodes,
        height=contract.height,
        width=contract.width,
        spans=spans if depth.to_dict() else None,
        model=model,
        run=runtime.run,
    )


def _web(record: ExportRecord, model: str) -> str:
    return _rendered(
        "web.mjs.j2",
        name=WEB,
        classes=json.dumps(record.classes),
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
