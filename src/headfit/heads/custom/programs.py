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
from headfit.heads.custom import calls as own_call
from headfit.heads.custom.store import Program
from headfit.heads.pooling import MapShape
from headfit.heads.trained import Weight
from headfit.util import digests
from headfit.util.cache import HEADS

PACKAGES = ("keras", "jax")


# where in the source an operation comes from, and in which layer of what name
_PLACES = re.compile(r"(?m)^#loc.*\n| loc\(#?\w*\)")


class Programs:
    """The programs of one head; each is as :data:`headfit.heads.custom.store.Program` says.

    ``train`` drops out and normalises by the batch as Keras does in training; ``infer`` does
    neither; ``settle``, of heads with a BatchNormalization that is trained, is training without
    dropout, whose moved statistics are those of the batch alone.

    Args:
        name: how the user calls the head.
        model: it, from maps to vectors.
        map_shape: of the maps.

    Raises:
        UsageError: if it holds other arrays than of floating point, or cannot be traced.
    """

    def __init__(self, name: str, model: keras.Model, map_shape: MapShape) -> None:
        self.name, self.model, self.map_shape = name, model, map_shape
        self._at = {id(variable): number for number, variable in enumerate(model.weights)}
        trained = {id(variable) for variable in model.trainable_variables}
        self.trained = [id(variable) in trained for variable in model.weights]
        odd = [v.path for v in model.weights if not str(v.dtype).startswith(("float", "bfloat"))]
        if odd:
            raise UsageError(
                f"--heads {name}: the array '{odd[0]}' holds no floating-point numbers, and cannot "
                f"be trained with the rest."
            )
        self.norms = [
            layer
            for layer in model._flatten_layers()  # the only way that finds those within layers
            if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        ]
        self._exported = self._export()

    def write(self, folder: Path) -> None:
        """Write each as ``<name>.bin``."""
        for name, exported in self._exported.items():
            data = exported.serialize(vjp_order=1 if name == "train" else 0)
            (folder / f"{name}.bin").write_bytes(bytes(data))

    def start(self) -> dict[str, np.ndarray]:
        """Give the weights as they are, float32."""
        found = [np.asarray(v.value, np.float32) for v in self.model.weights]
        return {str(number): array for number, array in enumerate(found)}

    def facts(self, modules: list[str]) -> dict[str, Any]:
        """Give what has to be known of the head, plain data.

        Args:
            modules: what has to be imported to load it.
        """
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
        found = {"train": self._traced(training=True), "infer": self._traced(training=False)}
        if self.norms:
            with self._batch_statistics_only():
                found["settle"] = self._traced(training=True)
        return found

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
            raise own_call.failed(self.name, error, "cannot be compiled by JAX") from None

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
            # the state of a layer's random numbers
            else jax.random.bits(jax.random.fold_in(key, number), v.shape, jnp.uint32)
            for number, v in enumerate(others)
        ]
        learned = [self._cast(v, held[self._at[id(v)]]) for v in self.model.trainable_variables]
        vectors, moved = self.model.stateless_call(learned, states, maps, training=training)
        found = list(held)
        for variable, state in zip(others, moved, strict=True):
            if id(variable) in self._at:
                found[self._at[id(variable)]] = state.astype(jnp.float32)
        return vectors.astype(jnp.float32), found

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
        """Whether positions that change places change the output, whatever the first weights."""
        rng = np.random.default_rng(0)
        height, width, channels = self.map_shape
        maps = rng.uniform(0, 1, (4, height * width, channels)).astype(np.float32)
        # a prior of zeros over positions would hide what it can learn; no variance turns negative
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
    """Give a program as text, of what it computes alone."""
    return _PLACES.sub("", program.mlir_module())
