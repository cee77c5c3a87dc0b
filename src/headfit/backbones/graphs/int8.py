"""The float32 graph in 8-bit integers, its ranges taken from the user's own images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from headfit.backbones.engines.interface import INT8
from headfit.backbones.engines.probe import probe_images
from headfit.backbones.graphs.cache import Graph, cached, cosines
from headfit.backbones.graphs.compiled import compile_graph
from headfit.backbones.graphs.tuning import Contestant, gains, race, warm
from headfit.errors import DataError, EngineError, ImageError, UsageError
from headfit.images.contract import Contract
from headfit.images.decode import read_bytes
from headfit.util import child, digests

METHOD = 1  # another number whenever the same images would give another graph
MOST_IMAGES = 300


@dataclass(frozen=True)
class QuantiseRequest(child.Request):
    """Write a float32 graph in 8-bit integers.

    Attributes:
        graph: the float32 ``graph.xml``; takes uint8 RGB (n, height, width, 3).
        images: files to take the ranges of activations from.
        height: of the input, in pixels.
        width: of the input, in pixels.
        folder: where ``graph.xml`` and ``graph.bin`` go.
    """

    function = "headfit.backbones.graphs.quantise_child:write_int8"
    graph: str
    images: list[str]
    height: int
    width: int
    folder: str


@dataclass(frozen=True)
class Calibration:
    """The images that the ranges of 8-bit integers are taken from.

    Attributes:
        paths: the files, in order.
        digests: of their contents.
    """

    paths: tuple[Path, ...]
    digests: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Digest of all that decides the ranges, and with them every feature map."""
        return digests.of_data([METHOD, version("nncf"), list(self.digests)])


def check_installed() -> None:
    """Refuse 8-bit integers where the package that makes them is absent.

    Raises:
        UsageError: says how to install it.
    """
    if find_spec("nncf") is None:
        raise UsageError(
            "--precision int8 needs the package nncf, which is not installed. Run: pip install "
            "'headfit[int8]', or leave --precision out for float32."
        )


def calibration(paths: Sequence[Path]) -> Calibration:
    """Choose up to 300 files, evenly spaced; those that cannot be read are passed over.

    Args:
        paths: files that may be looked at, those to test on not among them.

    Raises:
        DataError: if none of the chosen ones can be read.
    """
    count = min(MOST_IMAGES, len(paths))
    chosen = [paths[number * len(paths) // count] for number in range(count)]
    found = {}
    for path in chosen:
        try:
            found[path] = digests.of_bytes(read_bytes(path))
        except ImageError:
            continue  # the pass lists it among the skipped ones
    if not found:
        raise DataError(
            f"--precision int8 is calibrated on your images, but none of the {count} that were "
            f"chosen can be read; the first: {paths[0]}."
        )
    return Calibration(tuple(found), tuple(found.values()))


def int8_graph(
    graph: Graph, contract: Contract, images: Calibration, tell: Callable[[str], None]
) -> Graph:
    """Find the 8-bit graph of a proven float32 graph, or make it.

    Args:
        graph: in float32.
        contract: how files become its input.
        images: for its ranges.
        tell: called with a line of text if it has to be made.

    Raises:
        EngineError: if it cannot be made, or gives what is no number.
    """
    key = {"kind": "int8", "float32": graph.path.parent.name, "calibration": images.digest}

    def build(folder: Path) -> dict[str, Any]:
        tell(f"Quantising the graph to int8 with {len(images.paths)} of your images (once)")
        paths = [str(path) for path in images.paths]
        size = contract.height, contract.width
        request = QuantiseRequest(str(graph.path), paths, *size, str(folder))
        made = child.call(request, backend="jax")
        return {
            **graph.facts,
            **_compare(graph.path, folder / "graph.xml", contract),
            "precision": INT8,
            "calibrated_on": made["images"],
        }

    return cached(key, build)


def _compare(exact: Path, rough: Path, contract: Contract) -> dict[str, float]:
    """Give the lowest cosine between two graphs on the probe images, and the gain in speed."""
    running = [Contestant(compile_graph(path)) for path in (exact, rough)]
    probes = probe_images(contract.height, contract.width)
    cosine = float(np.min(cosines(*(graph.run(probes) for graph in running))))
    if not np.isfinite(cosine):
        raise EngineError("the int8 graph gives maps that are no numbers, or all zero")
    race(running, warm(running[0])[0])
    return {"cosine": cosine, "speedup": round(median(gains(*running)), 3)}
