"""A custom head compiled for maps of one shape, and the folder that holds it.

A child process builds it with Keras and compiles two programs, which JAX then runs without Keras:
one for training, which can be differentiated, and one for inference. The folder is named by a
digest of what they compute and of the initial weights, so an edited function is another head.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from headfit.heads.custom.origin import Origin
from headfit.heads.pooling import MapShape, Vectors
from headfit.heads.trained import Weight
from headfit.util import child, files
from headfit.util.cache import HEADS

FACTS, START, MODEL, RECEIVED = "facts.json", "start.npz", "model.keras", "received.keras"
SETTLED_TOGETHER = 128  # maps whose statistics are computed together
BACKEND = "jax"  # what the programs are made of


@dataclass(frozen=True)
class CompileRequest(child.Request):
    """Build and compile a custom head in a child process.

    Attributes:
        name: how the user wrote it.
        place: ``module:function``, or None.
        file: a saved Keras model, or None.
        map_shape: height, width and channels.
        seed: of the weights that Keras draws.
        folder: where programs, initial weights, model and facts are written.
    """

    function = "headfit.heads.custom.build_child:compile_head"
    opens = "file"

    name: str
    place: str | None
    file: str | None
    map_shape: Sequence[int]
    seed: int
    folder: str


@dataclass(frozen=True)
class CompiledHead:
    """A custom head for maps of one shape.

    Attributes:
        map_shape: height, width and channels.
        seed: of its initial weights; None if they do not depend on the seed.
        digest: of what it computes and of its initial weights.
        width: number of output features.
        arrays: its arrays, in the order of Keras' ``get_weights()``.
        settled: which of them are mean and variance of a batch normalisation, in pairs.
        position_aware: whether its output changes when positions are swapped.
        folder: holds its programs, initial weights and model.
    """

    map_shape: MapShape
    seed: int | None
    digest: str
    width: int
    arrays: tuple[Weight, ...]
    settled: tuple[tuple[int, int], ...]
    position_aware: bool
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> CompiledHead:
        """Read the facts in a folder."""
        facts = json.loads((folder / FACTS).read_text("utf-8"))
        height, width, channels = facts["map_shape"]
        return cls(
            (height, width, channels),
            facts["seed"],
            facts["digest"],
            facts["width"],
            tuple(Weight(**{**each, "shape": tuple(each["shape"])}) for each in facts["arrays"]),
            tuple((mean, variance) for mean, variance in facts["settled"]),
            facts["position_aware"],
            folder,
        )

    def suits(self, map_shape: MapShape, seed: int | None) -> bool:
        """Whether it is for these maps, and for this seed unless that is None."""
        return tuple(map_shape) == self.map_shape and (
            seed is None or self.seed is None or seed == self.seed
        )

    def start(self) -> list[Vectors]:
        """Give the initial weights, float32."""
        with np.load(self.folder / START, allow_pickle=False) as arrays:
            return [arrays[str(number)] for number in range(len(self.arrays))]

    def put(
        self, arrays: list[Any], moved: Sequence[Sequence[Any]], counts: Sequence[float]
    ) -> None:
        """Replace the statistics among the arrays, in place.

        Args:
            arrays: of the head.
            moved: the results of the program ``"settle"`` for parts of the images.
            counts: number of images in each part.
        """
        shares = np.array(counts) / sum(counts) if sum(counts) else np.ones(len(moved)) / len(moved)
        for at, spread_at in self.settled:
            means, variances = (
                np.stack([np.asarray(each[place]) for each in moved]) for place in (at, spread_at)
            )
            mean = shares @ means
            arrays[at] = mean.astype(np.float32)
            arrays[spread_at] = (shares @ (variances + (means - mean) ** 2)).astype(np.float32)

    def settled_start(self, maps: Vectors) -> list[Vectors]:
        """Give the initial weights with the statistics of maps, float32 (n, H, W, C)."""
        arrays = self.start()
        if not self.settled:
            return arrays
        order = np.random.default_rng(0).permutation(len(maps))
        parts = np.array_split(order, -(-len(maps) // SETTLED_TOGETHER))
        run, seed = self.program("settle"), np.zeros(2, np.uint32)
        moved = [run(arrays, maps[np.resize(p, len(parts[0]))], seed)[1] for p in parts]
        self.put(arrays, moved, [len(part) for part in parts])
        return arrays

    def program(self, name: str) -> Program:
        """Give a program: ``"train"``, ``"infer"``, or ``"settle"`` if there is one."""
        return _program(self.folder / f"{name}.bin")


Program = Callable[[Sequence[Any], Any, Any], tuple[Any, list[Any]]]
"""From arrays, maps float32 (n, H, W, C) and a seed, uint32 (2,), to vectors float32 (n, width) and
the arrays with updated statistics."""


@cache
def _program(path: Path) -> Program:
    from jax import export  # noqa: PLC0415  (heavy)

    call: Program = export.deserialize(bytearray(path.read_bytes())).call
    return call


def compile_head(origin: Origin, map_shape: MapShape, seed: int) -> CompiledHead:
    """Build and compile a head for maps of one shape.

    Args:
        origin: where it comes from. A callable is called in this process, after
            ``keras.utils.set_random_seed(seed)``; the random states of Python and numpy are
            restored.
        map_shape: height, width and channels.
        seed: of the initial weights, unless the head sets them.

    Raises:
        UsageError: if it cannot be built, or does not return a vector for each image.
        EngineError: if the child process dies.
        WriteError: if the result cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
        file = origin.file
        if origin.function is not None:
            from headfit.heads.custom.calls import save_called  # noqa: PLC0415  (imports Keras)

            file = str(Path(folder) / RECEIVED)
            save_called(origin.name, origin.function, map_shape, seed, file)
        request = CompileRequest(
            name=origin.name,
            place=origin.place,
            file=file,
            map_shape=map_shape,
            seed=seed,
            folder=folder,
        )
        digest = child.call(request, backend=BACKEND)["digest"]
        if HEADS.find(digest) is None:
            with HEADS.new_folder(digest) as target:
                for each in Path(folder).iterdir():
                    if each.name != RECEIVED:
                        shutil.copyfile(each, target / each.name)
    return CompiledHead.read(HEADS.path(digest))
