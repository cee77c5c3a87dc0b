"""The result of an inspection."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from headfit.heads.pooling import MapShape

SCHEMA = "headfit.inspection/1"
_POOLINGS = {"Flatten": "Flatten", "GlobalAveragePooling2D": "gap", "GlobalMaxPooling2D": "gmp"}


@dataclass(frozen=True)
class Inspection:
    """What :func:`headfit.inspect` read off a backbone or a saved model.

    Attributes:
        model: name or file, as in the call.
        backbone: its name in the catalogue, or the name of the model.
        input_size: side of the square input in pixels, or (height, width).
        classes: number of classes.
        assumed: which of ``"size"`` and ``"classes"`` neither the file nor the call says.
        map_shape: height, width and channels of the feature map.
        parameters: of ``backbone``, ``head`` and in ``total``.
        memory: ``weights_bytes``, and ``activations_bytes`` of one image.
        multiply_adds: of ``backbone``, ``head`` and in ``total``, for one image.
        layers: the last of the backbone and all of the head.
        alternatives: for each other head ``head``, ``features`` and ``parameters``.
        findings: likely mistakes, each with ``code`` and ``message``.
        unseen: what the file cannot show, likewise.
    """

    model: str
    backbone: str
    input_size: int | tuple[int, int]
    classes: int
    assumed: list[str]
    map_shape: MapShape
    parameters: dict[str, int]
    memory: dict[str, int]
    multiply_adds: dict[str, int]
    layers: list[dict[str, Any]]
    alternatives: list[dict[str, Any]]
    findings: list[dict[str, str]]
    unseen: list[dict[str, str]]

    @property
    def head_share(self) -> float:
        """Share of the parameters that the head holds, 0 to 1."""
        total = self.parameters["total"]
        return self.parameters["head"] / total if total else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Give plain data, the JSON of docs/inspect.md."""
        size = self.input_size
        document = {
            "schema": SCHEMA,
            **asdict(self),
            "input_size": size if isinstance(size, int) else list(size),
            "map_shape": list(self.map_shape),
            "head_share": self.head_share,
        }
        return document | {"sentences": _sentences(document)}


def _sentences(document: dict[str, Any]) -> list[str]:
    """Say what the head holds, and what Flatten's first dense layer does.

    Args:
        document: an inspection without its sentences.
    """
    parts = document["parameters"]
    if not parts["head"]:
        return ["There is no head: the model ends in its feature map, or in its averages."]
    head = [layer for layer in document["layers"] if layer["part"] == "head"]
    share = _share(parts["head"], parts["total"])
    first = _first_dense(head, document)
    if first and _chain(head).count("→") == 1:
        return first  # Flatten and one layer: the same again
    lines = [f"{_chain(head)} holds {parts['head']:,} of {parts['total']:,} parameters, {share}."]
    lines += first
    gap = next((a for a in document["alternatives"] if a["head"] == "gap"), None)
    if gap and gap["parameters"]["head"] < parts["head"]:
        count, total = gap["parameters"]["head"], gap["parameters"]["total"]
        lines.append(
            f"gap alone would have {count:,} of {total:,} parameters, {_share(count, total)}."
        )
    return lines


def _first_dense(head: list[dict[str, Any]], document: dict[str, Any]) -> list[str]:
    """Compare the dense layer on Flatten with the same layer on gap."""
    kinds = [layer["type"] for layer in head]
    if "Flatten" not in kinds or "Dense" not in kinds[kinds.index("Flatten") :]:
        return []
    dense = head[kinds.index("Dense", kinds.index("Flatten"))]
    units, total = dense["output_shape"][-1], document["parameters"]["total"]
    averaged = (document["map_shape"][-1] + 1) * units
    if averaged >= dense["parameters"]:  # Flatten of one position
        return []
    return [
        f"Flatten → Dense({units}) holds {dense['parameters']:,} of {total:,} parameters, "
        f"{_share(dense['parameters'], total)}; with gap in Flatten's place "
        f"{averaged:,}."
    ]


def _chain(head: list[dict[str, Any]]) -> str:
    """Write the layers of a head that count: poolings, and those with weights."""
    steps = [
        f"Dense({layer['output_shape'][-1]})"
        if layer["type"] == "Dense"
        else _POOLINGS.get(layer["type"], layer["type"])
        for layer in head
        if layer["parameters"] or layer["type"] in _POOLINGS
    ]
    return " → ".join(steps)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if part / whole >= 0.01 else "less than 1 %"
