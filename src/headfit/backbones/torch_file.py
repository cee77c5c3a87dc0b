"""Read the tensors of a PyTorch state-dict file without torch and without executing its pickle.

A ``.pth`` file of before PyTorch 1.6 is five pickles in a row (magic number, protocol version,
machine, state dict, storage keys) and then the raw storages. Pickle can call any function; this
reader lets it call two, both inert: an ordered dictionary, and "a view of storage k". Of pickle's
instructions it knows those that PyTorch writes, and follows a limited number of them. Whatever else
the file asks for is refused before it runs.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from headfit.errors import DataError, WeightsError
from headfit.util import files

MAGIC = 0x1950A86A20F9469CFC6C
MAX_BYTES = 2 * 1024**3
MAX_STEPS = 500_000  # of pickle; each may take 100 bytes. EfficientNet-Lite0 takes 11,000
MAX_AXES = 32
MAX_SHOWN = 100  # characters of a name in the file
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
    numbers = (offset, *shape, *stride)
    # a product of texts, or of countless numbers, would take all memory
    if len(numbers) > 2 * MAX_AXES or not all(type(number) is int for number in numbers):
        raise ValueError("a tensor whose shape is no tuple of integers")
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor without storage")
    return _View(storage, offset, tuple(shape), tuple(stride))


def _named(pairs: Any = ()) -> dict[str, Any]:
    """Make a dictionary; to hash a key other than a text may take for ever."""
    result = {}
    for key, value in pairs:
        if type(key) is not str:
            raise ValueError("a key that is no text")
        result[key] = value
    return result


class _Steps(dict[int, Any]):
    """What pickle's instructions do, for a limited number of them."""

    left = MAX_STEPS

    def __getitem__(self, code: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise WeightsError(f"takes over {MAX_STEPS:,} steps to read")
        return super().__getitem__(code)


class _TensorsOnly(pickle._Unpickler):
    """An unpickler for which nothing exists but dictionaries and tensors.

    Python's own and not C's, whose memo a file of a few bytes can blow up to gigabytes.
    """

    stack: list[Any]  # of the unpickler
    pop_mark: Callable[[], list[Any]]

    def __init__(self, stream: io.BytesIO, steps: _Steps) -> None:
        super().__init__(stream)
        self.dispatch = steps  # type: ignore[misc]

    def find_class(self, module: str, name: str) -> Any:
        """Give the stand-in for an allowed name; refuse every other."""
        if module == "collections" and name == "OrderedDict":
            return _named
        if module == "torch" and name in _DTYPES:
            return _StorageType(name)
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return _view
        asked = f"{module[:MAX_SHOWN]}.{name[:MAX_SHOWN]}"
        raise WeightsError(f"asks to load {asked}, which is not a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        """Describe a storage; its bytes follow after the pickles."""
        kind, storage_type, key, _location, size = pid[:5]
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise WeightsError("holds an object that is not a tensor")
        if type(key) is not str or type(size) is not int:
            raise ValueError("a storage without name or size")
        return _Storage(_DTYPES[storage_type.name], key, size)

    def load_build(self) -> None:
        """Drop the state that an object asks for, such as the metadata of a state dict."""
        self.stack.pop()

    def load_setitem(self) -> None:
        """Set one item of a dictionary."""
        value, key = self.stack.pop(), self.stack.pop()
        self.stack[-1] |= _named([(key, value)])

    def load_setitems(self) -> None:
        """Set items of a dictionary."""
        items = self.pop_mark()
        self.stack[-1] |= _named(zip(items[::2], items[1::2], strict=True))


_KNOWN = (
    *("PROTO", "STOP", "GLOBAL", "REDUCE", "BINPERSID", "MARK", "NONE", "NEWTRUE", "NEWFALSE"),
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS"),
    *("EMPTY_DICT", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
)
_DISPATCH = {
    **{code: pickle._Unpickler.dispatch[code] for name in _KNOWN for code in getattr(pickle, name)},
    pickle.BUILD[0]: _TensorsOnly.load_build,
    pickle.SETITEM[0]: _TensorsOnly.load_setitem,
    pickle.SETITEMS[0]: _TensorsOnly.load_setitems,
}


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
    stream, steps = io.BytesIO(data), _Steps(_DISPATCH)
    magic, _protocol, _machine, state, keys = (_TensorsOnly(stream, steps).load() for _ in range(5))
    if magic != MAGIC or not isinstance(state, dict):
        raise WeightsError("is not a PyTorch state-dict file")
    views = {name: value for name, value in state.items() if isinstance(value, _View)}
    storages = {view.storage.key: view.storage for view in views.values()}
    arrays = {key: _read_storage(stream, storages[key]) for key in keys if type(key) is str}
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
