"""The float32 graph in 8-bit integers, its ranges taken from the user's own images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from headfit.backbones.engines.interface import INT8, probe_images
from headfit.backbones.graphs.compiled import compile_graph
from headfit.backbones.graphs.graph import Graph, cached, cosines
from headfit.backbones.graphs.tuning import Contestant, gains, race, warm
from headfit.errors import DataError, EngineError, ImageError, UsageError
from headfit.images.contract import Contract
from headfit.images.decode import decode, read_bytes
from headfit.images.read_ahead import PathLike, ReadAhead
from headfit.util import child, digests

METHOD = 1  # another number whenever the same images would give another graph
MOST_IMAGES = 300


@dataclass(frozen=True)
class QuantiseRequest(child.Request):
    """Write a float32 graph in 8-bit integers.

    Attributes:
        graph: the float32 ``graph.xml``; takes uint8 RGB (n, height, width, 3).
        pixels: the images that the ranges of activations are taken from, uint8 (n, height, width,
            3) as ``.npy``.
        folder: where ``graph.xml`` and ``graph.bin`` go.
    """

    function = "headfit.backbones.graphs.quantise_child:write_int8"
    graph: str
    pixels: str
    folder: str


@dataclass(frozen=True)
class CalibrationImages:
    """The images that the ranges of 8-bit integers are taken from.

    Attributes:
        paths: their names, in order.
        digests: of their contents.
        read: returns the content of an image's file, by its name.
    """

    paths: tuple[PathLike, ...]
    digests: tuple[str, ...]
    read: Callable[[Any], bytes] = field(default=read_bytes, compare=False, repr=False)

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
            "`precision='int8'` needs the package nncf, which is not installed. Run: pip install "
            "'headfit[int8]', or leave `precision` out for float32."
        )


def calibration(
    paths: Sequence[PathLike], read: Callable[[Any], bytes] = read_bytes
) -> CalibrationImages:
    """Choose up to 300 images, evenly spaced; unreadable ones are left out.

    Args:
        paths: names of the images to choose from, without those of the test split.
        read: returns the content of an image's file, by its name.

    Raises:
        DataError: if none of the chosen ones can be read.
    """
    count = min(MOST_IMAGES, len(paths))
    chosen = [paths[number * len(paths) // count] for number in range(count)]
    contents = {}
    for path in chosen:
        try:
            contents[path] = digests.of_bytes(read(path))
        except ImageError:
            continue  # the pass lists it among the skipped ones
    if not contents:
        raise DataError(
            f"`precision='int8'` is calibrated on your images, but none of those chosen ({count}) "
            f"can be read. The first is {paths[0]}."
        )
    return CalibrationImages(tuple(contents), tuple(contents.values()), read)


def int8_graph(
    graph: Graph, contract: Contract, images: CalibrationImages, tell: Callable[[str], None]
) -> Graph:
    """Find the 8-bit graph of a proven float32 graph, or make it.

    Args:
        graph: in float32.
        contract: how files become its input.
        images: for its ranges.
        tell: called with a line of text if it has to be made.

    Raises:
        EngineError: if it cannot be made, or its outputs are not finite.
    """
    key: dict[str, Any] = {
        "kind": "int8",
        "float32": graph.path.parent.name,
        "calibration": images.digest,
    }
    if depth := contract.depth.to_dict():
        key["depth"] = depth

    def build(folder: Path) -> dict[str, Any]:
        tell(f"Quantising the graph to int8 with {len(images.paths)} of your images (once)")
        pixels = folder / "calibration.npy"
        count = _write_pixels(images, contract, pixels)
        child.call(QuantiseRequest(str(graph.path), str(pixels), str(folder)), backend="jax")
        pixels.unlink()
        return {
            **graph.facts,
            **_compare(graph.path, folder / "graph.xml", contract),
            "precision": INT8,
            "calibrated_on": count,
        }

    return cached(key, build)


def _write_pixels(images: CalibrationImages, contract: Contract, path: Path) -> int:
    """Write the images that can be decoded as an array; return their number.

    Raises:
        EngineError: if there are none.
    """
    decoded = ReadAhead(
        images.paths,
        images.read,
        partial(decode, height=contract.height, width=contract.width, depth=contract.depth),
    )
    pixels = [each for _, each in decoded if not isinstance(each, ImageError)]
    if not pixels:
        raise EngineError(f"no image for calibration can be decoded, of {len(images.paths)}")
    np.save(path, np.stack(pixels))
    return len(pixels)


def _compare(exact: Path, rough: Path, contract: Contract) -> dict[str, float]:
    """Give the lowest cosine between two graphs on the probe images, and the gain in speed."""
    running = [Contestant(compile_graph(path)) for path in (exact, rough)]
    probes = probe_images(contract.height, contract.width)
    cosine = float(np.min(cosines(*(graph.run(probes) for graph in running))))
    if not np.isfinite(cosine):
        raise EngineError("the feature maps of the int8 graph are not finite, or all zero")
    race(running, warm(running[0])[0])
    return {"cosine": cosine, "speedup": round(median(gains(*running)), 3)}
