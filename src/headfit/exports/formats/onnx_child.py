"""Write ONNX, in half precision or 8-bit integers too. Runs in child processes."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx

from headfit.exports.formats.onnx import OPSET, HalfRequest, OnnxRequest, QuantiseOnnxRequest
from headfit.exports.formats.onnx_rewrites import join_limits, pool_in_two_dimensions
from headfit.exports.record import IMAGES, KEY

# layers of other libraries; and its form of jnp.power, which refuses an open batch: without it the
# power is JAX's own operation, which it converts
_UNUSED = ("examples", "equinox", "flax", "dm_pix", "jax.numpy.pow")
LARGE = 64  # numbers; what is smaller is no weight but a size or a limit


def write_onnx(request: OnnxRequest) -> None:
    """Convert a classifier and simplify the graph.

    The converter keeps JAX's order of axes, and turns it for every convolution; ONNX Runtime's
    basic optimisations, which give standard operators only, turn it once and fold constants and
    batch normalisation into the convolutions.
    """
    # only here: the two other requests need neither
    import jax  # noqa: PLC0415
    import jax.numpy as jnp  # noqa: PLC0415

    from headfit.exports.network_child import (  # noqa: PLC0415
        names_of,
        network,
        no_counterpart,
        weights_of,
    )

    model = network(request)
    trained, fixed = weights_of(model)

    def run(images: Any) -> Any:
        pixels = images.astype(jnp.float32)
        outputs, _ = model.stateless_call(trained, fixed, pixels, training=False)
        return outputs  # one, or a list of two

    height, width = model.input_shape[1:3]
    shape = jax.export.symbolic_shape(f"batch,{height},{width},3")
    images = jax.ShapeDtypeStruct(shape, np.uint8)  # type: ignore[no-untyped-call]
    try:
        made = _converted(run, images, list(names_of(request)))
    except Exception as error:
        raise no_counterpart("ONNX", error) from None
    pool_in_two_dimensions(made)
    raw = Path(request.target).with_suffix(".raw.onnx")
    onnx.save(made, str(raw))
    simple = _simplified(raw)
    raw.unlink()
    join_limits(simple)
    _finish(simple, request.record, Path(request.target))


def halve(request: HalfRequest) -> None:
    """Store large weights in half precision; a runtime widens them once, when it loads the file."""
    model = onnx.load(request.source)
    widened = []
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.size > LARGE and _fits(array):
            name = tensor.name
            tensor.CopyFrom(onnx.numpy_helper.from_array(array.astype(np.float16), f"{name}_half"))
            widened.append(
                onnx.helper.make_node(
                    "Cast", [f"{name}_half"], [name], f"{name}_widened", to=onnx.TensorProto.FLOAT
                )
            )
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*widened, *rest])
    _check_and_save(model, Path(request.target))


def quantise(request: QuantiseOnnxRequest) -> None:
    """Quantise convolutions and matrix products, ranges from the images."""
    from onnxruntime import quantization  # noqa: PLC0415  (optional)

    pixels = np.load(request.pixels, mmap_mode="r")

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]  # carries no types
        """The images, one by one."""

        def __init__(self) -> None:
            self.rest = iter(pixels)

        def get_next(self) -> dict[str, np.ndarray] | None:
            """Give the next, None at the end."""
            image = next(self.rest, None)
            return None if image is None else {IMAGES: np.array(image[None])}

    logging.getLogger().setLevel(logging.ERROR)
    quantization.quantize_static(
        request.source,
        request.target,
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        op_types_to_quantize=["Conv", "MatMul", "Gemm"],
        per_channel=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        # processors without VNNI add pairs of products in 16 bits, which overflow
        reduce_range=True,
    )
    _check_and_save(onnx.load(request.target), Path(request.target))


def _converted(run: Any, images: Any, names: list[str]) -> onnx.ModelProto:
    logging.getLogger("jax2onnx").setLevel(logging.CRITICAL)
    # its examples build networks while they are imported: 11 s of processor time out of 18 s
    absent = {f"jax2onnx.plugins.{name}": None for name in _UNUSED}
    cast(dict[str, Any], sys.modules).update(absent)
    from jax2onnx import to_onnx  # noqa: PLC0415  (optional)

    with warnings.catch_warnings(action="ignore"):
        made: onnx.ModelProto = to_onnx(
            run,
            [images],
            model_name=KEY,
            opset=OPSET,
            input_names=[IMAGES],
            output_names=names,
        )
        return made


def _simplified(path: Path) -> onnx.ModelProto:
    import onnxruntime  # noqa: PLC0415  (optional)

    options, target = onnxruntime.SessionOptions(), path.with_suffix(".simple.onnx")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    model = onnx.load(str(target))
    target.unlink()
    return model


def _finish(model: onnx.ModelProto, record: str, path: Path) -> None:
    used = {node.domain for node in model.graph.node}
    standard = [each for each in model.opset_import if each.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(standard)
    read = {name for node in model.graph.node for name in node.input}
    weights = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    model.producer_name = KEY
    onnx.helper.set_model_props(model, {KEY: record})
    _check_and_save(model, path)


def _check_and_save(model: onnx.ModelProto, path: Path) -> None:
    onnx.save(model, str(path))
    onnx.checker.check_model(str(path), full_check=True)


def _fits(array: np.ndarray) -> bool:
    return bool(np.abs(array).max() < np.finfo(np.float16).max)
