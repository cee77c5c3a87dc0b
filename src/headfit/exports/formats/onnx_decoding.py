"""The part of an ONNX graph that decodes an image file, in front of the network.

The decoder, ``DecodeImage`` of onnxruntime-extensions, ends the whole process at what it takes for
no JPEG, waits for ever at the end of a cut one, and gives wrong pixels for grey JPEG files and
interlaced PNG files. So the graph first looks at the bytes: what the decoder would get wrong is
refused by an index out of range, an error of ONNX Runtime that names :data:`REFUSAL`. EXIF
orientation, which the decoder ignores, is found in the bytes and applied to the small image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx

DOMAIN = "com.microsoft.extensions"
IMAGE = "image"
"""Name of the input: the bytes of one file."""
REFUSAL = "not an opaque 8-bit colour JPEG or PNG"
LOOKED_AT = 1 << 18
"""Bytes at the start of a file in which its header must lie."""
END_OF_JPEG = (0xFF, 0xD9)
PNG = b"\x89PNG\r\n\x1a\n"
# how a frame starts, baseline, extended and progressive: marker, length, 8 bits; 3 or other colours
_COLOUR = [bytes([0xFF, kind, 0, 17, 8]) for kind in (0xC0, 0xC1, 0xC2)]
_NO_COLOUR = [bytes([0xFF, kind, 0, n, 8]) for kind in (0xC0, 0xC1, 0xC2) for n in (11, 20)]
_TRANSPARENT = [b"tRNS"]
# the tag, one number of 16 bits; least or most significant byte first
_ORIENTED = [b"\x12\x01\x03\x00\x01\x00\x00\x00", b"\x01\x12\x00\x03\x00\x00\x00\x01"]
_PATTERNS = [*_COLOUR, *_NO_COLOUR, *_TRANSPARENT, *_ORIENTED]
_LONGEST = max(map(len, _PATTERNS))
# by EXIF orientation; 0 does not occur. First rows become columns, then the others apply
_TURNED = (0, 0, 0, 0, 0, 1, 1, 1, 1)
_MIRRORED = (0, 0, 1, 1, 0, 0, 1, 1, 0)
_UPSIDE_DOWN = (0, 0, 0, 1, 1, 0, 0, 1, 1)


class _Graph:
    """Nodes and constants, one after the other; every method gives the name of a tensor."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        from onnx import helper  # noqa: PLC0415  (optional)

        output = f"decoding_{len(self.nodes)}"
        node = helper.make_node(kind, [*inputs], [output], name or output, **attributes)
        self.nodes.append(node)
        return output

    def constant(self, value: Any, dtype: type = np.int64) -> str:
        from onnx import numpy_helper  # noqa: PLC0415  (optional)

        name = f"decoding_constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def part(self, vector: str, start: int, stop: int) -> str:
        return self.add("Slice", vector, self.constant([start]), self.constant([stop]))

    def all(self, conditions: str) -> str:
        numbers = self.add("Cast", conditions, to=6)
        least = self.add("ReduceMin", numbers, self.constant([0]), keepdims=0)
        return self.add("Cast", least, to=9)

    def every(self, *conditions: str) -> str:
        first, *rest = conditions
        for each in rest:
            first = self.add("And", first, each)
        return first


def with_decoder(network: onnx.ModelProto, height: int, width: int, images: str) -> onnx.ModelProto:
    """Put the decoder in front of a network.

    Args:
        network: whose input ``images`` is uint8 (batch, height, width, 3), RGB; it is changed.
        height: rows of its input.
        width: columns of its input.
        images: name of its input.

    Returns:
        The network with the input ``image``, uint8 (bytes of one file,), and outputs of one row.
    """
    from onnx import TensorProto, helper  # noqa: PLC0415  (optional)

    graph = _Graph()
    found = _look(graph)
    pixels = _decoded(graph, found["acceptable"])
    small = _resized(graph, pixels, found["orientation"], height, width)
    last = helper.make_node("Unsqueeze", [small, graph.constant([0])], [images], "decoding_batch")
    rest = list(network.graph.node)
    del network.graph.node[:], network.graph.input[:]
    network.graph.node.extend([*graph.nodes, last, *rest])
    network.graph.initializer.extend(graph.constants)
    network.graph.input.append(helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["bytes"]))
    for output in network.graph.output:
        output.type.tensor_type.shape.dim[0].dim_value = 1
    del network.graph.value_info[:]
    network.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return network


def _look(graph: _Graph) -> dict[str, str]:
    """Tell from the bytes whether the decoder gets a file right, and its EXIF orientation."""
    start = graph.part(IMAGE, 0, LOOKED_AT)
    padded = graph.add("Concat", start, graph.constant([0] * 32, np.uint8), axis=0)
    values = graph.add("Cast", padded, to=1)
    matches = _matches(graph, values)  # (patterns, bytes)
    anywhere = graph.add(
        "ReduceMax", graph.add("Cast", matches, to=6), graph.constant([1]), keepdims=0
    )
    groups = []
    first = 0
    for patterns in (_COLOUR, _NO_COLOUR, _TRANSPARENT):
        most = graph.add(
            "ReduceMax",
            graph.part(anywhere, first, first + len(patterns)),
            graph.constant([0]),
            keepdims=0,
        )
        groups.append(graph.add("Cast", most, to=9))
        first += len(patterns)
    colour, no_colour, transparent = groups
    jpeg = graph.every(
        _equal(graph, padded, 0, b"\xff\xd8\xff"), colour, graph.add("Not", no_colour)
    )
    header = graph.add("Cast", padded, to=6)
    plain = graph.all(
        graph.add(  # depth, colour type (no alpha, which is bit 2), interlacing
            "LessOrEqual",
            graph.add("Gather", header, graph.constant([24, 25, 28])),
            graph.constant([8, 3, 0], np.int32),
        )
    )
    png = graph.every(_equal(graph, padded, 0, PNG), plain, graph.add("Not", transparent))
    return {
        "acceptable": graph.add("Or", jpeg, png),
        "orientation": _orientation(graph, values, matches),
    }


def _equal(graph: _Graph, vector: str, start: int, expected: bytes) -> str:
    part = graph.add("Cast", graph.part(vector, start, start + len(expected)), to=6)
    return graph.all(graph.add("Equal", part, graph.constant(list(expected), np.int32)))


def _matches(graph: _Graph, values: str) -> str:
    """Find patterns: Σ(byte - pattern)² is 0, a convolution of bytes and their squares.

    All its sums are integers below 2²⁴, so they are exact.
    """
    weights = np.zeros((len(_PATTERNS), 2, _LONGEST), np.float32)
    for row, pattern in enumerate(_PATTERNS):
        weights[row, 0, : len(pattern)] = 1
        weights[row, 1, : len(pattern)] = [-2 * byte for byte in pattern]
    bias = [sum(byte * byte for byte in pattern) for pattern in _PATTERNS]
    squares = graph.add("Mul", values, values)
    both = [graph.add("Unsqueeze", each, graph.constant([0, 1])) for each in (squares, values)]
    channels = graph.add("Concat", *both, axis=1)
    distances = graph.add(
        "Conv",
        channels,
        graph.constant(weights, np.float32),
        graph.constant(bias, np.float32),
        pads=[0, _LONGEST - 1],
    )
    flat = graph.add("Squeeze", distances, graph.constant([0]))
    return graph.add("Equal", flat, graph.constant(0, np.float32))


def _orientation(graph: _Graph, values: str, matches: str) -> str:
    """Read the first orientation tag, 1 to 8; 1 without one."""
    count = len(_PATTERNS)
    either = graph.add(
        "ReduceMax",
        graph.add("Cast", graph.part(matches, count - 2, count), to=6),
        graph.constant([0]),
        keepdims=0,
    )
    place = graph.add("ArgMax", either, axis=0, keepdims=0)  # the first of equals; 0 if none
    two = graph.add("Add", place, graph.constant([8, 9]))
    inside = graph.add("Min", two, graph.add("Sub", graph.add("Shape", values), graph.constant(1)))
    number = graph.add(  # one of the two bytes is 0
        "ReduceSum", graph.add("Gather", values, inside), graph.constant([0]), keepdims=0
    )
    number = graph.add("Cast", number, to=7)
    found = graph.add("Equal", graph.add("Gather", either, place), graph.constant(1, np.int32))
    valid = graph.every(
        found,
        graph.add("LessOrEqual", number, graph.constant(8)),
        graph.add("GreaterOrEqual", number, graph.constant(1)),
    )
    return graph.add("Where", valid, number, graph.constant(1))


def _decoded(graph: _Graph, acceptable: str) -> str:
    """Decode what is acceptable, uint8 (rows, columns, 3), BGR."""
    row = graph.add("Where", acceptable, graph.constant(0), graph.constant(1))
    # the only row; another is an error. The end of a JPEG, so that a cut one has an end
    end = graph.constant([END_OF_JPEG], np.uint8)
    tail = graph.add("Gather", end, row, name=REFUSAL)
    complete = graph.add("Concat", IMAGE, tail, axis=0)
    return graph.add("DecodeImage", complete, domain=DOMAIN)


def _resized(graph: _Graph, pixels: str, orientation: str, height: int, width: int) -> str:
    """Resize as Pillow does, turn upright and order as RGB, uint8 (height, width, 3)."""
    sizes = [[1, 3, width, height] if turned else [1, 3, height, width] for turned in _TURNED]
    size = graph.add("Gather", graph.constant(sizes), orientation)
    planes = graph.add("Transpose", pixels, perm=[2, 0, 1])
    planes = graph.add("Unsqueeze", planes, graph.constant([0]))
    # in 8 bits ONNX Runtime computes what Pillow does, to a grey level
    planes = graph.add(
        "Resize", planes, "", "", size, mode="linear", antialias=1, exclude_outside=1
    )
    planes = graph.add("Gather", planes, graph.constant([2, 1, 0]), axis=1)
    flat = graph.add("Reshape", planes, graph.constant([3, height * width]))
    places = _places(graph, orientation, height, width)
    return graph.add("Transpose", graph.add("Gather", flat, places, axis=1), perm=[1, 2, 0])


def _places(graph: _Graph, orientation: str, height: int, width: int) -> str:
    """Where each upright pixel lies in the flat stored image, (height, width)."""
    steps = [(1, height) if turned else (width, 1) for turned in _TURNED]
    last = [
        (down * (height - 1), mirrored * (width - 1))
        for down, mirrored in zip(_UPSIDE_DOWN, _MIRRORED, strict=True)
    ]
    parts = []
    for axis, indices in enumerate((np.arange(height)[:, None], np.arange(width))):
        end = graph.add("Gather", graph.constant([pair[axis] for pair in last]), orientation)
        step = graph.add("Gather", graph.constant([pair[axis] for pair in steps]), orientation)
        way = graph.add("Abs", graph.add("Sub", graph.constant(indices), end))
        parts.append(graph.add("Mul", way, step))
    return graph.add("Add", *parts)
