"""OpenVINO graphs of backbones and saved models: built once, checked once, then cached."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.engines.interface import probe_images, split
from headfit.backbones.graphs.compiled import compile_graph, save_part
from headfit.backbones.weights import IMAGENET, weights_identity
from headfit.errors import EngineError
from headfit.images.contract import Contract
from headfit.images.depth import PLAIN
from headfit.util import child, digests, files
from headfit.util.cache import GRAPHS
from headfit.util.child import FAST_BACKEND

FACTS = "facts.json"
MIN_COSINE = 0.9999


@dataclass(frozen=True)
class Graph:
    """A graph on disk.

    Attributes:
        path: of ``graph.xml``, in a folder that is named by the digest of all that made it.
        facts: about it, plain data.
    """

    path: Path
    facts: dict[str, Any]


@dataclass(frozen=True)
class BackboneGraphRequest(child.Request):
    """Write a backbone as a graph.

    Attributes:
        name: the text that finds the backbone.
        contract: its preprocessing, plain data.
        weights: ``"imagenet"``, ``"random"`` or a path.
        cuts: where the backbone ends.
        folder: where ``graph.xml`` and ``graph.bin`` go.
    """

    function = "headfit.backbones.graphs.graph_child:write_backbone"
    opens = "name"
    name: str
    contract: dict[str, Any]
    weights: str
    cuts: list[str]
    folder: str


@dataclass(frozen=True)
class ReferenceRequest(BackboneGraphRequest):
    """Write what Keras itself makes of the probe images to ``reference-0.npy``, …"""

    function = "headfit.backbones.graphs.graph_child:write_reference"
    runs_once = True


def backbone_graph(
    spec: BackboneSpec,
    contract: Contract,
    weights: str,
    backend: str,
    tell: Callable[[str], None],
    cuts: Sequence[str] = ("",),
) -> Graph:
    """Find a backbone's graph, or build it and prove that it agrees with Keras.

    Args:
        spec: the backbone.
        contract: its preprocessing.
        weights: ``"imagenet"``, ``"random"`` or a path.
        backend: of the Keras that it must agree with.
        tell: called with a line of text if it has to be built.
        cuts: where the backbone ends; with several, the facts are a list, ``parts``, and the graph
            gives all maps of an image in one row.

    Raises:
        WeightsError: if the weights are not available or do not fit.
        EngineError: if the graph cannot be built or does not agree.
        UsageError: if a cut is not one of its layers.
    """

    def build(folder: Path) -> dict[str, Any]:
        download = weights == IMAGENET and not spec.package and not spec.custom
        first = "; Keras may have to download its ImageNet weights first" if download else ""
        tell(f"Building the fast graph of {spec.name} at {contract.width} px (once){first}")
        fields = (spec.reference, contract.to_dict(), weights, list(cuts), str(folder))
        requests: list[tuple[child.Request, str]] = [
            (BackboneGraphRequest(*fields), FAST_BACKEND),
            (ReferenceRequest(*fields), backend),
        ]
        # two downloads at a time would write into the same file
        graph, reference = (_in_turn if download else _at_once)(requests)
        parts = _prove(folder, contract, graph["parts"], reference)
        return parts[0] if len(parts) == 1 else {"parts": parts}

    return cached(_key(spec, contract, weights, cuts), build)


def part_graph(
    joint: Graph,
    spec: BackboneSpec,
    contract: Contract,
    weights: str,
    cuts: Sequence[str],
    number: int,
) -> Graph:
    """Find the graph of one cut, or take it out of that of several.

    Args:
        joint: what :func:`backbone_graph` gave for several cuts.
        spec: the backbone.
        contract: its preprocessing.
        weights: ``"imagenet"``, ``"random"`` or a path.
        cuts: those of ``joint``.
        number: of the cut among them.
    """

    def build(folder: Path) -> dict[str, Any]:
        save_part(joint.path, number, folder)
        facts: dict[str, Any] = joint.facts["parts"][number]
        return facts

    return cached(_key(spec, contract, weights, [cuts[number]]), build)


def _key(
    spec: BackboneSpec, contract: Contract, weights: str, cuts: Sequence[str]
) -> dict[str, Any]:
    whole = list(cuts) == [""]
    return {
        "kind": "backbone",
        "name": spec.name,
        "weights": weights_identity(spec, weights),
        "contract": contract.with_depth(PLAIN).to_dict(),  # the graph takes pixels
        **({} if whole else {"cuts": list(cuts)}),
    }


def file_graph(
    path: Path,
    contract: Contract,
    outputs: str,
    request: Callable[[Path], child.Request],
    tell: Callable[[str], None],
) -> Graph:
    """Find the graph of a saved model, or build it. The caller has to check that it agrees.

    Args:
        path: the model file.
        contract: how a file becomes the pixels that the model takes.
        outputs: what the graph gives, in a word.
        request: makes the request to the child process, from the folder to write into.
        tell: called with a line of text if it has to be built.

    Raises:
        EngineError: if the graph cannot be built.
    """
    key = {
        "kind": "file",
        "outputs": outputs,
        "file": digests.of_file(path),
        "contract": contract.with_depth(PLAIN).to_dict(),  # the graph takes pixels
    }

    def build(folder: Path) -> dict[str, Any]:
        tell(f"Building the fast graph of {path.name} (once)")
        return child.call(request(folder), backend="openvino")

    return cached(key, build)


def cached(key: dict[str, Any], build: Callable[[Path], dict[str, Any]]) -> Graph:
    """Find a graph by all that made it, or make it.

    Args:
        key: what made it, besides the versions of Keras and OpenVINO.
        build: writes ``graph.xml`` and ``graph.bin`` into a folder and gives the facts to keep.

    Raises:
        WriteError: if it cannot be cached.
    """
    versions = {name: version(name) for name in ("keras", "openvino")}
    digest = digests.of_data({**key, "format": GRAPHS.format, "versions": versions})
    folder = GRAPHS.find(digest)
    if folder is None:
        with GRAPHS.new_folder(digest) as temporary:
            files.write_json(temporary / FACTS, build(temporary))
        folder = GRAPHS.path(digest)
    return Graph(folder / "graph.xml", json.loads((folder / FACTS).read_text("utf-8")))


def _in_turn(requests: list[tuple[child.Request, str]]) -> list[dict[str, Any]]:
    """Run requests, each with its backend, one after the other."""
    return [child.call(request, backend=backend) for request, backend in requests]


def _at_once(requests: list[tuple[child.Request, str]]) -> list[dict[str, Any]]:
    """Run requests, each with its backend, side by side; no process outlives the call."""
    jobs: list[child.Job] = []
    try:
        for request, backend in requests:
            jobs.append(child.start(request, backend=backend))
        return [job.result() for job in jobs]
    except BaseException:
        for job in jobs:
            job.cancel()
        raise


def _prove(
    folder: Path, contract: Contract, parts: list[dict[str, Any]], reference: dict[str, Any]
) -> list[dict[str, Any]]:
    """Compare the graph with Keras itself; return the facts of each cut."""
    expected = []
    for number in range(len(parts)):
        file = folder / f"reference-{number}.npy"
        expected.append(np.load(file, allow_pickle=False))
        file.unlink()
    agreement = _agreement(folder / "graph.xml", contract, expected)
    return [
        {**part, "weights_digest": digest, "cosine": cosine}
        for part, digest, cosine in zip(parts, reference["weights_digests"], agreement, strict=True)
    ]


def _agreement(path: Path, contract: Contract, expected: list[np.ndarray]) -> list[float]:
    compiled = compile_graph(path)
    images = probe_images(contract.height, contract.width)
    rows = np.concatenate([np.array(compiled(image[None])[0]) for image in images])
    shapes = [each.shape[1:] for each in expected]
    results = split(rows, shapes) if len(expected) > 1 else [rows]
    agreement = []
    for mine, theirs in zip(results, expected, strict=True):
        if mine.shape != theirs.shape:
            raise EngineError(f"the graph gives {mine.shape[1:]}, Keras {theirs.shape[1:]}")
        cosine = float(np.min(cosines(mine, theirs)))
        if not cosine >= MIN_COSINE:
            raise EngineError(f"the graph disagrees with Keras: cosine {cosine:.6f}")
        agreement.append(cosine)
    return agreement


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each pair of rows of two float arrays (n, …), in float64; 1 for two of zeros."""
    x, y = (v.reshape(len(v), -1).astype(np.float64) for v in (a, b))
    lengths = np.sqrt((x * x).sum(1) * (y * y).sum(1))
    equal = (x == y).all(1).astype(np.float64)
    result: np.ndarray = np.divide((x * y).sum(1), lengths, out=equal, where=lengths > 0)
    return result
