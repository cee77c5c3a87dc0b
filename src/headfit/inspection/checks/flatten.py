"""Flatten where the size of the map is not known: its width, and so the head's, is undefined."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headfit.backbones.graphs.trace import Call
from headfit.inspection.subject import Remark


def check_flatten(calls: Iterable[Call]) -> Iterator[Remark]:
    """Look for Flatten on a map whose height or width is None.

    Args:
        calls: of a trace with the sizes that the model itself declares.
    """
    for call in calls:
        shape = tuple(call.inputs[0].shape) if call.inputs else ()
        if call.kind == "Flatten" and len(shape) == 4 and None in shape[1:]:
            height, width = ("?" if length is None else length for length in shape[1:3])
            yield Remark(
                "flatten_on_undefined_shape",
                f"'{call.layer.name}' stands on a map of {height}×{width}×{shape[3]}, so its "
                f"width is undefined. Give the backbone a fixed input_shape, or use "
                f"GlobalAveragePooling2D.",
            )
