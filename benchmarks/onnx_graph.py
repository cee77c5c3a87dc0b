"""Write a Keras backbone as an ONNX graph, layer by layer; knows the layers of plain CNNs.

Pixels in, feature map out, channels first inside. Keras' own export wants tf2onnx, whose pinned
protobuf and numpy do not go with current TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from interleave import UnavailableError


def write(model: Any, contract: Any, path: Path) -> None:
    """Write the graph of ``contract`` and ``model``: uint8 (n, h, w, 3) to float32 (n, H, W, C).

    Args:
        model: a Keras model, channels last, whose layers form a graph without loops.
        contract: headfit's record of the preprocessing.
        path: of the file.

    Raises:
        UnavailableError: if there is a layer that this module does not know.
    """
    import onnx

    graph = _Graph()
    scaled = _preprocess(graph, contract)
    names = {id(model.inputs[0]): scaled}
    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "InputLayer":
            continue
        if kind not in _WRITERS:
            raise UnavailableError(f"no ONNX for the Keras layer {kind}")
        (node,) = layer._inbound_nodes
        inputs = [names[id(tensor)] for tensor in node.input_tensors]
        names[id(node.output_tensors[0])] = _WRITERS[kind](graph, layer, inputs)
    last = names[id(model.outputs[0])]
    graph.add("Transpose", [last], perm=[0, 2, 3, 1], output="maps")
    helper, kinds = onnx.helper, onnx.TensorProto
    pixels = helper.make_tensor_value_info(
        "pixels", kinds.UINT8, ["n", contract.height, contract.width, 3]
    )
    maps = helper.make_tensor_value_info("maps", kinds.FLOAT, ["n", *model.output_shape[1:]])
    whole = helper.make_graph(graph.nodes, "backbone", [pixels], [maps], graph.constants)
    made = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(made)
    onnx.save(made, str(path))


class _Graph:
    """Nodes and constants of a graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        import onnx

        output = output or f"t{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value: np.ndarray) -> str:
        import onnx

        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name


def _preprocess(graph: _Graph, contract: Any) -> str:
    import onnx

    x = graph.add("Cast", ["pixels"], to=onnx.TensorProto.FLOAT)
    x = graph.add("Mul", [x, graph.constant(np.array(contract.scale, np.float32))])
    x = graph.add("Add", [x, graph.constant(np.array(contract.offset, np.float32))])
    if contract.bgr:
        x = graph.add("Gather", [x, graph.constant(np.array([2, 1, 0]))], axis=3)
    return graph.add("Transpose", [x], perm=[0, 3, 1, 2])


def _convolution(graph: _Graph, layer: Any, inputs: list[str]) -> str:
    kernel = np.asarray(layer.kernel).transpose(3, 2, 0, 1)
    return _convolve(graph, layer, inputs, kernel, layer.groups)


def _depthwise(graph: _Graph, layer: Any, inputs: list[str]) -> str:
    kernel = np.asarray(layer.kernel).transpose(2, 3, 0, 1)
    return _convolve(graph, layer, inputs, kernel.reshape(-1, 1, *kernel.shape[2:]), len(kernel))


def _convolve(graph: _Graph, layer: Any, inputs: list[str], kernel: np.ndarray, groups: int) -> str:
    arrays = [kernel, np.asarray(layer.bias)] if layer.use_bias else [kernel]
    x = graph.add(
        "Conv",
        [*inputs, *map(graph.constant, arrays)],
        strides=list(layer.strides),
        dilations=list(layer.dilation_rate),
        group=groups,
        auto_pad=_padding(layer),
    )
    return _activate(graph, layer.activation.__name__, x)


def _normalisation(graph: _Graph, layer: Any, inputs: list[str]) -> str:
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    gamma = np.asarray(layer.gamma) if layer.scale else np.ones_like(mean)
    beta = np.asarray(layer.beta) if layer.center else np.zeros_like(mean)
    arrays = [graph.constant(a) for a in (gamma, beta, mean, variance)]
    return graph.add("BatchNormalization", [*inputs, *arrays], epsilon=layer.epsilon)


def _relu(graph: _Graph, layer: Any, inputs: list[str]) -> str:
    if layer.negative_slope or layer.threshold:
        raise UnavailableError("no ONNX for a ReLU with a slope or a threshold")
    if layer.max_value is None:
        return graph.add("Relu", inputs)
    bounds = [graph.constant(np.float32(v)) for v in (0, layer.max_value)]
    return graph.add("Clip", [*inputs, *bounds])


def _activation(graph: _Graph, layer: Any, inputs: list[str]) -> str:
    return _activate(graph, layer.activation.__name__, inputs[0])


def _activate(graph: _Graph, name: str, x: str) -> str:
    if name == "linear":
        return x
    if name != "relu":
        raise UnavailableError(f"no ONNX for the activation {name}")
    return graph.add("Relu", [x])


def _zero_padding(graph: _Graph, layer: Any, inputs: list[str]) -> str:
    (top, bottom), (left, right) = layer.padding
    pads = np.array([0, 0, top, left, 0, 0, bottom, right])
    return graph.add("Pad", [*inputs, graph.constant(pads)])


def _maximum(graph: _Graph, layer: Any, inputs: list[str]) -> str:
    return graph.add(
        "MaxPool",
        inputs,
        kernel_shape=list(layer.pool_size),
        strides=list(layer.strides),
        auto_pad=_padding(layer),
    )


def _padding(layer: Any) -> str:
    return {"same": "SAME_UPPER", "valid": "VALID"}[layer.padding]


_WRITERS: dict[str, Callable[[_Graph, Any, list[str]], str]] = {
    "Conv2D": _convolution,
    "DepthwiseConv2D": _depthwise,
    "BatchNormalization": _normalisation,
    "ReLU": _relu,
    "Activation": _activation,
    "ZeroPadding2D": _zero_padding,
    "MaxPooling2D": _maximum,
    "Add": lambda graph, layer, inputs: graph.add("Add", inputs),
    # nothing when the model runs, as opposed to when it is trained
    "Dropout": lambda graph, layer, inputs: inputs[0],
}
