"""What a model file says of its making: the verdict, its weights, its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

WEIGHTS = ("name", "origin", "licence")


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from, in words that travel with it.

    Attributes:
        verdict: the sentence of the comparison that chose its head.
        weights: ``name``, ``origin`` and ``licence`` of the backbone's weights.
        data: digest of the images that it was fitted on, with their names and labels.
    """

    verdict: str = ""
    weights: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(WEIGHTS, ""))
    data: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Give plain data that JSON can hold."""
        return {**asdict(self), "weights": dict(self.weights)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Provenance:
        """Rebuild from :meth:`to_dict`.

        Raises:
            KeyError, TypeError: a value is missing or of another kind.
        """
        weights = {name: str(data["weights"][name]) for name in WEIGHTS}
        return cls(str(data["verdict"]), weights, str(data["data"]))
