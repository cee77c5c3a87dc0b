"""What a child process is asked to put together: a whole model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headfit.util.child import Request


@dataclass(frozen=True, kw_only=True)
class Assembly(Request):
    """Write a model as a ``.keras`` file.

    Attributes:
        backbone: the text that finds it, for one of the catalogue its name.
        weights: ``"imagenet"``, ``"random"`` or a path.
        contract: the preprocessing record, plain data.
        head: the head's chain.
        shape: value of the pooling's shape parameter.
        scale: factor by which the head multiplies its maps.
        classes: K, the number of outputs.
        head_weights: an ``.npz`` of the head's arrays, by ``layer/variable``.
        path: where to write; ends in ``.keras``.
        cut: the layer that the backbone ends at; empty for its own end.
        custom: the folder of a custom head; empty for a chain.
        tuned: an ``.npz`` of backbone weights that replace those of some layers, by
            ``layer/number``; empty for none.
        tuned_after: the layer that all these come after; empty for the beginning.
        place: ``module:function`` of a custom head as the user named it; None for others.
        activation: of the last layer, by its name in Keras.
    """

    function = "headfit.model.assemble_child:write_model"
    backbone: str
    weights: str
    contract: dict[str, Any]
    head: str
    shape: float | None
    scale: float
    classes: int
    head_weights: str
    path: str
    cut: str = ""
    custom: str = ""
    place: str | None = None
    activation: str = "softmax"
    tuned: str = ""
    tuned_after: str = ""
