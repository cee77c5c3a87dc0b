"""Turn a Keras model into programs that JAX runs without Keras. Needs Keras' JAX backend."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import export

from headfit.errors import UsageError
from headfit.heads.custom.calls import failure
from headfit.heads.custom.store import Program
from headfit.heads.pooling import MapShape
from headfit.heads.trained import Weight
from headfit.util import digests
from headfit.util.cache import HEADS

PACKAGES = ("keras", "jax")


# locations in the source, and names of layers
_PLACES = re.compile(r"(?m)^#loc.*\n| loc\(#?\w*\)")


class Programs:
    """The programs of one head, each a :data:`headfit.heads.custom.store.Program`.

    ``train`` applies dropout and normalises by the batch as Keras does in training; ``infer`` does
    neither; ``settle``, of heads with a trained BatchNormalization, is training without dropout,
    and its updated statistics are those of the batch alone.

    Args:
        name: how the user wrote the head.
        model: from maps to vectors.
        map_shape: height, width and channels of the maps.

    Raises:
        UsageError: if an array is not of floating point, or the model cannot be traced.
    """

    def __init__(self, name: str, model: keras.Model, map_shape: MapShape) -> None:
        self.name, self.model, self.map_shape = name, model, map_shape
        self._at = {id(variable): number for number, variable in enumerate(model.weights)}
        trained = {id(variable) for variable in model.trainable_variables}
        self.trained = [id(variable) in trained for variable in model.weights]
        odd = [v.path for v in model.weights if not str(v.dtype).startswith(("float", "bfloat"))]
        if odd:
            raise UsageError(
                f"Head '{name}': the array '{odd[0]}' must have a floating-point dtype to be "
                f"trained with the rest."
            )
        self.norms = [
            layer
            for layer in model._flatten_layers()  # the only way to find nested layers
            if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        ]
        self._exported = self._export()

    def write(self, folder: Path) -> None:
        """Write each program as ``<name>.bin``."""
        for name, exported in self._exported.items():
            data = exported.serialize(vjp_order=1 if name == "train" else 0)
            (folder / f"{name}.bin").write_bytes(bytes(data))

    def start(self) -> dict[str, np.ndarray]:
        """Give the current weights, float32, by number: their names may repeat."""
        arrays = [np.asarray(v.value, np.float32) for v in self.model.weights]
        return {str(number): array for number, array in enumerate(arrays)}

    def facts(self, modules: list[str]) -> dict[str, Any]:
        """Give the properties of the head, JSON data; its layers come from ``modules``."""
        arrays = [
            Weight(v.path, tuple(v.shape), learned and len(v.shape) > 1, learned)
            for v, learned in zip(self.model.weights, self.trained, strict=True)
        ]
        start = [digests.of_bytes(np.ascontiguousarray(a).data) for a in self.start().values()]
        settled = [
            [self._at[id(norm.moving_mean)], self._at[id(norm.moving_variance)]]
            for norm in self.norms
        ]
        content = {
            "format": HEADS.format,
            "versions": [version(package) for package in PACKAGES],
            "programs": {name: _text(each) for name, each in self._exported.items()},
            "start": start,
            "trained": self.trained,
            "settled": settled,
            "modules": modules,
        }
        return {
            "digest": digests.of_data(content),
            "width": int(self.model.output.shape[1]),
            "arrays": [asdict(each) for each in arrays],
            "settled": settled,
            "position_aware": self._position_aware(),
        }

    def _export(self) -> dict[str, export.Exported]:
        programs = {"train": self._traced(training=True), "infer": self._traced(training=False)}
        if self.norms:
            with self._batch_statistics_only():
                programs["settle"] = self._traced(training=True)
        return programs

    def _traced(self, training: bool) -> export.Exported:
        (count,) = export.symbolic_shape("n")
        shaped: Any = jax.ShapeDtypeStruct
        weights = [shaped(v.shape, jnp.float32) for v in self.model.weights]
        maps, seed = shaped((count, *self.map_shape), jnp.float32), shaped((2,), jnp.uint32)

        def program(weights: list[Any], maps: Any, seed: Any) -> tuple[Any, list[Any]]:
            return self._call(weights, maps, seed, training)

        try:
            return export.export(jax.jit(program))(weights, maps, seed)
        except Exception as error:
            raise failure(self.name, error, "cannot be compiled by JAX") from None

    def _call(
        self, weights: list[Any], maps: Any, seed: Any, training: bool
    ) -> tuple[Any, list[Any]]:
        held = [
            w if learned else jax.lax.stop_gradient(w)
            for w, learned in zip(weights, self.trained, strict=True)
        ]
        key = jax.random.wrap_key_data(seed, impl="threefry2x32")
        others = self.model.non_trainable_variables
        states = [
            self._cast(v, held[self._at[id(v)]])
            if id(v) in self._at
            # the random state of a layer
            else jax.random.bits(jax.random.fold_in(key, number), v.shape, jnp.uint32)
            for number, v in enumerate(others)
        ]
        learned = [self._cast(v, held[self._at[id(v)]]) for v in self.model.trainable_variables]
        vectors, moved = self.model.stateless_call(learned, states, maps, training=training)
        arrays = list(held)
        for variable, state in zip(others, moved, strict=True):
            if id(variable) in self._at:
                arrays[self._at[id(variable)]] = state.astype(jnp.float32)
        return vectors.astype(jnp.float32), arrays

    @staticmethod
    def _cast(variable: Any, array: Any) -> Any:
        return array.astype(str(variable.dtype))

    @contextlib.contextmanager
    def _batch_statistics_only(self) -> Iterator[None]:
        drops = [
            layer for layer in self.model._flatten_layers() if hasattr(layer, "seed_generator")
        ]
        rates = [(layer, layer.rate) for layer in drops if hasattr(layer, "rate")]
        momenta = [(norm, norm.momentum) for norm in self.norms]
        try:
            for layer, _ in rates:
                layer.rate = 0.0
            for norm, _ in momenta:
                norm.momentum = 0.0
            yield
        finally:
            for layer, rate in rates:
                layer.rate = rate
            for norm, momentum in momenta:
                norm.momentum = momentum

    def _position_aware(self) -> bool:
        """Whether swapping positions changes the output, whatever the initial weights are."""
        rng = np.random.default_rng(0)
        height, width, channels = self.map_shape
        maps = rng.uniform(0, 1, (4, height * width, channels)).astype(np.float32)
        # zeros would hide a dependence on position that can be learnt; variances stay positive
        weights = [
            np.asarray(
                a * rng.uniform(0.8, 1.2, a.shape) + rng.uniform(0, 0.1, a.shape), np.float32
            )
            for a in self.start().values()
        ]
        run: Program = self._exported["infer"].call
        turned = maps[:, rng.permutation(height * width)]
        one, other = (
            np.asarray(run(weights, each.reshape(4, *self.map_shape), np.zeros(2, np.uint32))[0])
            for each in (maps, turned)
        )
        near = 1e-4 * float(np.abs(one).max())
        return not np.allclose(one, other, rtol=1e-3, atol=near, equal_nan=True)


def _text(program: export.Exported) -> str:
    """Give a program as text without its source locations."""
    return _PLACES.sub("", program.mlir_module())
