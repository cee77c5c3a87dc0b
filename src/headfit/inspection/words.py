"""An inspection in sentences: who holds the parameters, and what gap would change."""

from __future__ import annotations

from typing import Any

_POOLINGS = {"Flatten": "Flatten", "GlobalAveragePooling2D": "gap", "GlobalMaxPooling2D": "gmp"}


def sentences(document: dict[str, Any]) -> list[str]:
    """Say what the head holds, and what Flatten's first dense layer does.

    Args:
        document: an inspection without its sentences.
    """
    parts = document["parameters"]
    if not parts["head"]:
        return ["There is no head: the model ends in its feature map, or in its averages."]
    own = [layer for layer in document["layers"] if layer["part"] == "head"]
    share = _share(parts["head"], parts["total"])
    first = _first_dense(own, document)
    if first and _chain(own).count("→") == 1:
        return first  # Flatten and one layer: the same again
    said = [f"{_chain(own)} holds {parts['head']:,} of {parts['total']:,} parameters, {share}."]
    said += first
    gap = next((a for a in document["alternatives"] if a["head"] == "gap"), None)
    if gap and gap["parameters"]["head"] < parts["head"]:
        count, total = gap["parameters"]["head"], gap["parameters"]["total"]
        said.append(
            f"gap alone would have {count:,} of {total:,} parameters, {_share(count, total)}."
        )
    return said


def _first_dense(own: list[dict[str, Any]], document: dict[str, Any]) -> list[str]:
    """Compare the dense layer on Flatten with the same layer on gap."""
    kinds = [layer["type"] for layer in own]
    if "Flatten" not in kinds or "Dense" not in kinds[kinds.index("Flatten") :]:
        return []
    dense = own[kinds.index("Dense", kinds.index("Flatten"))]
    units, total = dense["output_shape"][-1], document["parameters"]["total"]
    averaged = (document["map_shape"][-1] + 1) * units
    if averaged >= dense["parameters"]:  # Flatten of one position
        return []
    return [
        f"Flatten → Dense({units}) holds {dense['parameters']:,} of {total:,} parameters, "
        f"{_share(dense['parameters'], total)}; with gap in Flatten's place "
        f"{averaged:,}."
    ]


def _chain(own: list[dict[str, Any]]) -> str:
    """Write the layers of a head that count: poolings, and those with weights."""
    steps = [
        f"Dense({layer['output_shape'][-1]})"
        if layer["type"] == "Dense"
        else _POOLINGS.get(layer["type"], layer["type"])
        for layer in own
        if layer["parameters"] or layer["type"] in _POOLINGS
    ]
    return " → ".join(steps)


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if part / whole >= 0.01 else "less than 1 %"
