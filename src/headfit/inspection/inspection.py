"""The result of an inspection."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from headfit.heads.pooling import MapShape
from headfit.inspection.words import sentences

SCHEMA = "headfit.inspection/1"


@dataclass(frozen=True)
class Inspection:
    """What :func:`headfit.inspect` saw in a backbone or a saved model.

    Attributes:
        model: name or file, as it was given.
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
        return document | {"sentences": sentences(document)}
