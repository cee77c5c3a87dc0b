"""Changes to an ONNX graph that leave its results as they are, for runtimes to understand it."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

TO_FIRST, TO_LAST = [0, 3, 1, 2], [0, 2, 3, 1]


def pool_in_two_dimensions(model: onnx.ModelProto) -> None:
    """Write pooling over all four axes, 1 wide along two of them, as ordinary pooling.

    The converter adds two axes before such a pooling, so that it has four windows, and drops them
    behind it; no runtime has that. A sum over windows is a convolution with ones there.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    numbers = {tensor.name: tensor for tensor in graph.initializer}
    readers = {name: node for node in graph.node for name in node.input}
    made: dict[str, list[onnx.NodeProto]] = {}
    gone: list[onnx.NodeProto] = []
    for node in graph.node:
        settings = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        if node.op_type not in ("MaxPool", "Conv") or len(settings.get("strides", ())) != 4:
            continue
        inner = makers[node.input[0]]  # two Unsqueeze before it, and a Squeeze behind
        outer, behind = makers[inner.input[0]], readers[node.output[0]]
        window = settings.get("kernel_shape") or list(numbers[node.input[1]].dims)[2:]
        pads = settings.get("pads", [0] * 8)
        flat = {
            "kernel_shape": list(window)[1:3],
            "strides": list(settings["strides"])[1:3],
            "pads": [*pads[1:3], *pads[5:7]],
        }
        made[node.output[0]] = _pooling(graph, node, outer.input[0], behind.output[0], flat)
        gone += [outer, inner, behind]
    dropped = {each.output[0] for each in gone}
    nodes = [
        each
        for node in list(graph.node)
        if node.output[0] not in dropped
        for each in made.get(node.output[0], [node])
    ]
    del graph.node[:]
    graph.node.extend(nodes)


def join_limits(model: onnx.ModelProto) -> None:
    """Write min(max(x, low), high) as ``Clip`` and max(x, 0) as ``Relu``: runtimes fuse those."""
    graph = model.graph
    numbers = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if not tensor.dims or list(tensor.dims) == [1]
    }
    uses: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            uses.setdefault(name, []).append(node)
    results = {output.name for output in graph.output}
    gone = []
    for node in graph.node:
        bound = _bound(node, numbers) if node.op_type == "Max" else None
        if bound is None or numbers[bound].dtype != np.float32 or numbers[bound].item() != 0:
            continue
        after = uses.get(node.output[0], [])
        value = next(name for name in node.input if name != bound)
        upper = _bound(after[0], numbers) if len(after) == 1 and after[0].op_type == "Min" else None
        if upper is not None and node.output[0] not in results:
            last, inputs = after[0], [value, _scalar(graph, bound), _scalar(graph, upper)]
            gone.append(last)
            node.CopyFrom(helper.make_node("Clip", inputs, [last.output[0]], node.name))
        else:
            node.CopyFrom(helper.make_node("Relu", [value], [node.output[0]], node.name))
    for node in gone:
        graph.node.remove(node)


def _pooling(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    source: str,
    target: str,
    settings: dict[str, Any],
) -> list[onnx.NodeProto]:
    first, pooled, total = (f"{target}_{word}" for word in ("first", "pooled", "total"))
    before = helper.make_node("Transpose", [source], [first], perm=TO_FIRST)
    if node.op_type == "MaxPool":
        pool = helper.make_node("MaxPool", [first], [pooled], **settings)
        return [before, pool, helper.make_node("Transpose", [pooled], [target], perm=TO_LAST)]
    count = f"{target}_count"
    size = np.array(np.prod(settings["kernel_shape"]), np.float32)
    graph.initializer.append(numpy_helper.from_array(size, count))
    pool = helper.make_node("AveragePool", [first], [pooled], count_include_pad=1, **settings)
    times = helper.make_node("Mul", [pooled, count], [total])
    return [before, pool, times, helper.make_node("Transpose", [total], [target], perm=TO_LAST)]


def _bound(node: onnx.NodeProto, numbers: dict[str, np.ndarray]) -> str | None:
    """Give the name of the one number among two inputs of an operator."""
    names = [name for name in node.input if name in numbers]
    return names[0] if len(node.input) == 2 and len(names) == 1 else None


def _scalar(graph: onnx.GraphProto, name: str) -> str:
    """Give the name of a number without axes, as ``Clip`` takes it."""
    known = {tensor.name: tensor for tensor in graph.initializer}
    if not known[name].dims:
        return name
    scalar = f"{name}_scalar"
    if scalar not in known:
        value = numpy_helper.to_array(known[name]).reshape(())
        graph.initializer.append(numpy_helper.from_array(value, scalar))
    return scalar
