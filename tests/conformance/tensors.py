"""Makes tensors from the metadata of a model, in each form that the protocol has for them."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

DTYPES = {
    "BOOL": "?",
    "UINT8": "u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
    "BYTES": "O",
}
ANY = 4  # size of a dimension that is variable and not the first


@dataclass(frozen=True)
class Tensor:
    """An input: its metadata, and values."""

    name: str
    datatype: str
    values: np.ndarray
    variable: bool

    @property
    def shape(self) -> list[int]:
        return list(self.values.shape)

    def described(self, **changed: Any) -> dict[str, Any]:
        """Name, shape and datatype as JSON, with changes; a change to None leaves a field out."""
        whole = {"name": self.name, "shape": self.shape, "datatype": self.datatype, **changed}
        return {key: value for key, value in whole.items() if value is not None}

    def flat(self, **changed: Any) -> dict[str, Any]:
        """As JSON with flattened data."""
        return self.described(**{"data": self.values.ravel().tolist(), **changed})

    def nested(self) -> dict[str, Any]:
        """As JSON with data in the form of the tensor."""
        return self.described(data=self.values.tolist())

    def raw(self) -> bytes:
        """The values as binary data."""
        if self.datatype == "BYTES":
            coded = [str(value).encode() for value in self.values.ravel()]
            return b"".join(struct.pack("<I", len(each)) + each for each in coded)
        return self.values.astype(DTYPES[self.datatype]).tobytes()

    def binary(self, **changed: Any) -> dict[str, Any]:
        """As JSON whose values follow as binary data."""
        parameters = {"binary_data_size": len(self.raw())}
        return self.described(**{"parameters": parameters, **changed})

    def rows(self, *numbers: int) -> Tensor:
        """The same with some of its rows."""
        return replace(self, values=self.values[list(numbers)])


def tensors_of(
    inputs: Sequence[Mapping[str, Any]],
    rows: int,
    seed: int,
    sizes: Mapping[str, tuple[int, ...]],
) -> list[Tensor]:
    """Make a tensor for each input of the metadata.

    Args:
        inputs: from the metadata.
        rows: size of the first dimension where that is variable.
        seed: of the values.
        sizes: whole shapes for some inputs, by name.
    """
    rng = np.random.default_rng(seed)
    tensors = []
    for each in inputs:
        variable = bool(each["shape"]) and each["shape"][0] < 0
        shape = [size if size >= 0 else ANY for size in sizes.get(each["name"], each["shape"])]
        if variable:
            shape[0] = rows
        values = _values(each["datatype"], shape, rng)
        tensors.append(Tensor(each["name"], each["datatype"], values, variable))
    return tensors


def _values(datatype: str, shape: Sequence[int], rng: np.random.Generator) -> np.ndarray:
    if datatype == "BYTES":
        words = rng.choice(["alpha", "beta", "gamma"], size=shape)
        return words.astype(object)
    if datatype == "BOOL":
        return rng.integers(0, 2, shape).astype(bool)
    if datatype.startswith("FP"):
        # halves: exact in every type and as JSON
        return (rng.integers(-8, 9, shape) / 2).astype(DTYPES[datatype])
    top = 256 if datatype == "UINT8" else 100
    return rng.integers(0, top, shape).astype(DTYPES[datatype])


def decode_binary(data: bytes, datatype: str) -> np.ndarray:
    """Read the values of an output from binary data."""
    if datatype != "BYTES":
        return np.frombuffer(data, DTYPES[datatype])
    found, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        assert at + 4 + length <= len(data), "an element is longer than the binary data"
        found.append(data[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return np.array(found, object)
