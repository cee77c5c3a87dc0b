"""Requests to child processes: split a model at its map, assemble it with another top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headfit.util.child import Request as ChildRequest

MAPS, BEFORE, AFTER = "maps", "before", "after"


@dataclass(frozen=True)
class TakeApart(ChildRequest):
    """Write the dense layer's weights, and the model up to its map.

    Attributes:
        path: a ``.keras`` or ``.h5`` file.
        preprocessing: ``scale``, ``offset`` and ``bgr`` of a contract.
        folder: where ``kernel.npy``, ``bias.npy`` and the networks go.
        graphs: write graphs of the model and of its part up to the map, for OpenVINO; else that
            part as ``maps.keras``.
    """

    function = "headfit.conversion.networks_child:take_apart"
    opens = "path"
    path: str
    preprocessing: dict[str, Any]
    folder: str
    graphs: bool


@dataclass(frozen=True)
class PutTogether(ChildRequest):
    """Write the model with another top.

    Attributes:
        path: the model that was taken apart.
        form: of the new top, see :mod:`headfit.conversion.algebra`.
        weights: an ``.npz`` with its arrays.
        preprocessing: as in :class:`TakeApart`.
        folder: where the graph goes.
        target: the ``.keras`` file to write.
        graphs: write a graph of the written file, for OpenVINO.
    """

    function = "headfit.conversion.networks_child:put_together"
    opens = "path"
    path: str
    form: str
    weights: str
    preprocessing: dict[str, Any]
    folder: str
    target: str
    graphs: bool


@dataclass(frozen=True)
class RunRest(ChildRequest):
    """Compute the outputs of a model from the values of its first dense layer.

    Attributes:
        path: the model that was taken apart.
        sums: an ``.npz`` of arrays (n, K): sums before the activation.
        results: the ``.npz`` to write, with the outputs (n, classes) under the same names.
    """

    function = "headfit.conversion.networks_child:run_rest"
    opens = "path"
    path: str
    sums: str
    results: str
