"""Read the tensors of a PyTorch state-dict file without torch and without executing its pickle.

A ``.pth`` file of before PyTorch 1.6 is five pickles in a row (magic number, protocol version,
machine, state dict, storage keys) and then the raw storages. Pickle can call any function; this
reader lets it call two, both inert: an ordered dictionary, and "a view of storage k". Whatever
else the file asks for is refused before it runs.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

from headfit.errors import DataError, WeightsError
from headfit.util import files

MAGIC = 0x1950A86A20F9469CFC6C
MAX_BYTES = 2 * 1024**3
MAX_EXPANSION = 4  # times that tensors which share their storage take as much as the file
_DTYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "LongStorage": np.dtype("<i8"),
}


@dataclass(frozen=True)
class _StorageType:
    name: str


@dataclass(frozen=True)
class _Storage:
    dtype: np.dtype[Any]
    key: str
    size: int


@dataclass(frozen=True)
class _View:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def _view(storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> _View:
    return _View(storage, int(offset), tuple(shape), tuple(stride))


class _TensorsOnly(pickle._Unpickler):
    """An unpickler for which nothing exists but dictionaries and tensors.

    Python's own and not C's, whose memo a file of a few bytes can blow up to gigabytes.
    """

    stack: list[Any]  # of the unpickler

    def find_class(self, module: str, name: str) -> Any:
        """Give the stand-in for an allowed name; refuse every other."""
        if module == "collections" and name == "OrderedDict":
            return OrderedDict
        if module == "torch" and name in _DTYPES:
            return _StorageType(name)
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return _view
        raise WeightsError(f"asks to load {module}.{name}, which is not a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        """Describe a storage; its bytes follow after the pickles."""
        kind, storage_type, key, _location, size = pid[:5]
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise WeightsError(f"holds an object of kind {kind!r}, which is not a tensor")
        return _Storage(_DTYPES[storage_type.name], str(key), int(size))

    def load_build(self) -> None:
        """Drop the state that an object asks for, such as the metadata of a state dict."""
        self.stack.pop()

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Read all tensors of a legacy PyTorch state-dict file.

    Args:
        path: the ``.pth`` file.

    Returns:
        Tensor name to array, float32 or int64, in the file's own layout (OIHW for convolutions).

    Raises:
        WeightsError: if the file is absent, too large, damaged, or holds anything but tensors.
    """
    try:
        return _read(files.read_regular(path, MAX_BYTES))
    except DataError as error:
        raise WeightsError(str(error)) from None
    except WeightsError as error:
        raise WeightsError(f"'{path}' cannot be used as weights: it {error}.") from None
    except OSError as error:
        raise WeightsError(f"'{path}' cannot be read: {error.strerror}.") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise WeightsError(
            f"'{path}' is damaged, or is no PyTorch state-dict file of the legacy format."
        ) from error


def _read(data: bytes) -> dict[str, np.ndarray]:
    if data.startswith(b"PK"):
        raise WeightsError("is of PyTorch's zip format; save it with the legacy one")
    stream = io.BytesIO(data)
    magic, _protocol, _machine, state, keys = (_TensorsOnly(stream).load() for _ in range(5))
    if magic != MAGIC or not isinstance(state, dict):
        raise WeightsError("is not a PyTorch state-dict file")
    views = {name: value for name, value in state.items() if isinstance(value, _View)}
    storages = {view.storage.key: view.storage for view in views.values()}
    arrays = {str(key): _read_storage(stream, storages[str(key)]) for key in keys}
    tensors: dict[str, np.ndarray] = {}
    taken = 0
    for name, view in views.items():
        tensors[name] = _materialise(view, arrays[view.storage.key])
        taken += tensors[name].nbytes
        if taken > MAX_EXPANSION * len(data):  # many views of one storage
            raise WeightsError(f"would take over {MAX_EXPANSION} times its own size in memory")
    return tensors


def _read_storage(stream: io.BytesIO, storage: _Storage) -> np.ndarray:
    (size,) = struct.unpack("<q", stream.read(8))
    if size != storage.size or size < 0:
        raise WeightsError(f"has a storage of {size} elements where {storage.size} were declared")
    raw = stream.read(size * storage.dtype.itemsize)
    return np.frombuffer(raw, storage.dtype, count=size)


def _materialise(view: _View, array: np.ndarray) -> np.ndarray:
    count = math.prod(view.shape)
    steps = [(size - 1) * step for size, step in zip(view.shape, view.stride, strict=True)]
    last = view.offset + sum(steps)
    # a view that repeats elements (stride 0) could claim any size
    if count and (min(0, view.offset, *view.stride) < 0 or max(last + 1, count) > array.size):
        raise WeightsError("has a tensor that reaches beyond its storage")
    strides = [step * array.itemsize for step in view.stride]
    # safe: the bounds were checked above, and the copy owns its memory
    return as_strided(array[view.offset :], view.shape, strides).copy()
