"""What is known of a head of the user's own for maps of one shape, and where all of it is kept.

A child process builds it with Keras and gives two programs, compiled from then on by JAX alone: one
for training, which can be differentiated, and one for inference. They lie under the digest of what
they compute and of the first weights, so a function that was edited is another head.
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

from headfit.heads.pooling import MapShape, Vectors
from headfit.heads.trained import Weight
from headfit.util import child as worker
from headfit.util import files
from headfit.util.cache import HEADS

FACTS, START, MODEL, GIVEN = "facts.json", "start.npz", "model.keras", "given.keras"
BUILD = "headfit.heads.custom.build_child:open_own"
SETTLED_TOGETHER = 128  # maps that statistics are taken of together
BACKEND = "jax"  # what the programs are made of


@dataclass(frozen=True)
class Origin:
    """Where a head comes from: one of a place, a file and a callable.

    Attributes:
        name: how the user calls it.
        place: ``module:function``.
        file: path of a saved Keras model.
        function: what no other process can import.
    """

    name: str
    place: str | None = None
    file: str | None = None
    function: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Opened:
    """A head for maps of one shape.

    Attributes:
        map_shape: height, width and channels.
        seed: that its first weights were drawn with; None if any seed gives the same.
        digest: of what it computes and of its first weights.
        width: features that come out.
        arrays: its arrays, in the order of Keras' ``get_weights()``.
        settled: which of them are the mean and variance of a normalisation over the batch, in
            pairs.
        position_aware: whether its output changes when positions change places.
        modules: what has to be imported before its layers are known.
        folder: where its programs, first weights and model lie.
    """

    map_shape: MapShape
    seed: int | None
    digest: str
    width: int
    arrays: tuple[Weight, ...]
    settled: tuple[tuple[int, int], ...]
    position_aware: bool
    modules: tuple[str, ...]
    folder: Path

    @classmethod
    def kept(cls, folder: Path) -> Opened:
        """Read what lies in a folder."""
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
            tuple(facts["modules"]),
            folder,
        )

    def suits(self, map_shape: MapShape, seed: int | None) -> bool:
        """Whether it is for these maps, and these first weights if a seed is given."""
        return tuple(map_shape) == self.map_shape and (
            seed is None or self.seed is None or seed == self.seed
        )

    def start(self) -> list[Vectors]:
        """Give the first weights, float32."""
        with np.load(self.folder / START, allow_pickle=False) as arrays:
            return [arrays[str(number)] for number in range(len(self.arrays))]

    def put(
        self, arrays: list[Any], moved: Sequence[Sequence[Any]], counts: Sequence[float]
    ) -> None:
        """Put statistics in place.

        Args:
            arrays: of the head; those of statistics are replaced.
            moved: what ``"settle"`` gave for pieces of the images.
            counts: images of each piece.
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
        """Give the first weights with the statistics of some maps, float32 (n, H, W, C)."""
        found = self.start()
        if not self.settled:
            return found
        order = np.random.default_rng(0).permutation(len(maps))
        pieces = np.array_split(order, -(-len(maps) // SETTLED_TOGETHER))
        run, seed = self.program("settle"), np.zeros(2, np.uint32)
        moved = [run(found, maps[np.resize(p, len(pieces[0]))], seed)[1] for p in pieces]
        self.put(found, moved, [len(piece) for piece in pieces])
        return found

    def program(self, name: str) -> Program:
        """Give a program: ``"train"``, ``"infer"``, or ``"settle"`` if there is one."""
        return _program(self.folder / f"{name}.bin")


Program = Callable[[Sequence[Any], Any, Any], tuple[Any, list[Any]]]
"""From arrays, maps float32 (n, H, W, C) and a seed, uint32 (2,), to vectors float32 (n, width) and
the arrays with what is not trained moved on."""


@cache
def _program(path: Path) -> Program:
    from jax import export  # noqa: PLC0415  (heavy)

    call: Program = export.deserialize(bytearray(path.read_bytes())).call
    return call


def open_own(origin: Origin, map_shape: MapShape, seed: int) -> Opened:
    """Build a head for maps of one shape.

    Args:
        origin: where it comes from. A callable is called in this process, after
            ``keras.utils.set_random_seed(seed)``; the states of Python's and numpy's random
            numbers are put back.
        map_shape: height, width and channels.
        seed: of the first weights, unless they are given.

    Raises:
        UsageError: if it cannot be built, or does not give a vector for each image.
        EngineError: if the child process dies.
        WriteError: if it cannot be kept.
    """
    with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
        given = origin.file
        if origin.function is not None:
            given = str(Path(folder) / GIVEN)
            _save(origin, map_shape, seed, given)
        request = {
            "name": origin.name,
            "place": origin.place,
            "file": given,
            "map_shape": list(map_shape),
            "seed": seed,
            "folder": folder,
        }
        digest = worker.call(BUILD, request, backend=BACKEND)["digest"]
        if HEADS.find(digest) is None:
            with HEADS.new_folder(digest) as made:
                for each in Path(folder).iterdir():
                    if each.name != GIVEN:
                        shutil.copyfile(each, made / each.name)
    return Opened.kept(HEADS.path(digest))


def _save(origin: Origin, map_shape: MapShape, seed: int, path: str) -> None:
    """Build what only this process can, and save it for the child."""
    from headfit.heads.custom.calls import save_called  # noqa: PLC0415  (imports Keras)

    save_called(origin, map_shape, seed, path)
