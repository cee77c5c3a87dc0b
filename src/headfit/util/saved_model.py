"""Model files are checked before Keras loads them: a file from elsewhere may be hostile.

A ``.keras`` file is a zip archive with a configuration (JSON) and weights (HDF5); an ``.h5`` file
is HDF5 with the configuration in an attribute. Keras' safe mode refuses Lambda layers, but could be
led around (CVE-2025-8747, CVE-2025-9905, CVE-2026-1462, CVE-2026-12570). So every model of the
user's passes :func:`read` first, which refuses

- code: Lambda layers and layers that wrap foreign programs;
- classes and functions other than Keras' own building blocks, KerasHub's, headfit's, and those
  that this process has registered;
- paths of files and URLs in the configuration;
- what :mod:`headfit.util.model_parts` refuses: members of the archive with unsafe names, links from
  HDF5 to other files, parts that are too large, or far larger in memory than on disk.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import math
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.errors import ModelFileError
from headfit.util import files, limits, not_a_model
from headfit.util.addresses import leads_outside
from headfit.util.model_parts import (
    CONFIG,
    EXPECTED,
    HDF5_CONFIG,
    WEIGHTS,
    attribute,
    check_archive,
    check_calls,
    check_outputs,
    parse,
    shapes_of,
)

TRAINING = "training_config"
_ZIP, _HDF5 = b"PK", b"\x89HDF"
_CODE = {"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
_TF_LAMBDA = {"TFOpLambda", "SlicingOpLambda"}
_PLAIN = {"__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__"}
_PACKAGES = {"keras_hub", "headfit"}
# the parts of Keras that models are made of, under keras. and under keras.src.
_CLASSES = {
    *("activations", "constraints", "dtype_policies", "initializers", "layers", "losses"),
    *("metrics", "models", "ops", "optimizers", "quantizers", "random", "regularizers"),
}
_TOP = {"DTypePolicy", "FloatDTypePolicy", "Functional", "Model", "Sequential"}
_FUNCTIONS = {"activations", "constraints", "initializers", "losses", "metrics", "ops"}
_FILES = {"vocabulary", "idf_weights", "filepath", "file_path", "filename", "origin", "url"}
"""Arguments that layers take for the name of a file, if they are a text."""


@dataclass(frozen=True)
class Saved:
    """What a saved model says of itself.

    Attributes:
        config: the model's configuration.
        compiled: the ``optimizer`` and ``loss`` that it was compiled with; None if it was not.
        slots: shapes of the optimizer's arrays, without scalars; empty if it never ran.
        size: bytes of its arrays, if none has elements of more than 8.
        is_hdf5: whether the file is HDF5, whatever its name.
    """

    config: dict[str, Any]
    compiled: dict[str, Any] | None
    slots: tuple[tuple[int, ...], ...]
    size: int
    is_hdf5: bool = False

    @property
    def optimizer(self) -> str:
        """Class name of the optimizer, or ``""``."""
        entry = (self.compiled or {}).get("optimizer") or {}
        return str(entry.get("class_name", "")) if isinstance(entry, dict) else str(entry)


def load(path: Path) -> Any:
    """Check a model file, then load it in safe mode and without compiling; imports Keras.

    Raises:
        ModelFileError: if the check refuses it. Keras raises whatever it likes.
    """
    import keras  # noqa: PLC0415  (only where a model is loaded)

    saved = read(path)
    with _as_keras_takes_it(path, saved) as file, limits.loading(path, saved.size):
        model = keras.saving.load_model(file, compile=False, safe_mode=True)
    check_outputs(model, path)
    return model


@contextlib.contextmanager
def _as_keras_takes_it(path: Path, saved: Saved) -> Iterator[Path]:
    """Give the file, or a copy with the suffix of its content and without outdated arguments."""
    import h5py  # noqa: PLC0415

    outdated = saved.is_hdf5 and _drop_outdated(saved.config)
    suffixes = (".h5", ".hdf5") if saved.is_hdf5 else (".keras",)
    if path.suffix in suffixes and not outdated:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
        copy = Path(folder, path.stem).with_suffix(suffixes[0])
        shutil.copyfile(path, copy)
        if outdated:
            with h5py.File(copy, "r+") as file:
                file.attrs[HDF5_CONFIG] = json.dumps(saved.config)
        yield copy


def _drop_outdated(config: Any) -> bool:
    """Remove arguments of tf.keras' that change nothing and that Keras 3 refuses; say if any."""
    if isinstance(config, list):
        return sum(map(_drop_outdated, config)) > 0
    if not isinstance(config, dict):
        return False
    arguments, changed = config.get("config"), False
    if config.get("class_name") == "DepthwiseConv2D" and isinstance(arguments, dict):
        changed = arguments.pop("groups", None) is not None
    return sum(map(_drop_outdated, config.values())) > 0 or changed


def read(path: Path) -> Saved:
    """Check a ``.keras`` or ``.h5`` file without building anything; imports Keras.

    Raises:
        ModelFileError: if it is not a whole model, or not a safe one; the message says why.
    """
    not_a_model.refuse(path)
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
        if start[:2] == _ZIP:
            saved = _read_zip(path)
        elif start == _HDF5:
            saved = _read_hdf5(path)
        else:
            raise ModelFileError(f"'{path}' is neither a zip archive nor HDF5. {EXPECTED}")
    except ModelFileError:
        raise
    except Exception as error:  # a damaged file can make zip, HDF5 and JSON raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        if "truncated file" in reason:
            size = f"{path.stat().st_size:,} bytes"
            reason = f"it was cut off after {size}: download or copy it again"
        raise ModelFileError(f"'{path}' cannot be read ({reason}). {EXPECTED}") from None
    for complaint in complaints(saved.config):
        raise ModelFileError(f"'{path}' {complaint}")
    check_calls(saved.config, path)
    return saved


def _read_zip(path: Path) -> Saved:
    import h5py  # noqa: PLC0415  (comes with Keras)

    with zipfile.ZipFile(path) as archive:
        check_archive(archive, path)
        names = archive.namelist()
        if CONFIG not in names:
            raise ModelFileError(f"'{path}' is a zip archive without {CONFIG}. {EXPECTED}")
        if WEIGHTS not in names:
            raise ModelFileError(f"'{path}' is a zip archive without {WEIGHTS}. {EXPECTED}")
        config = parse(archive.read(CONFIG), CONFIG, path)
        # into memory, as Keras will: through the archive, each step would read it from its start
        with h5py.File(io.BytesIO(archive.read(WEIGHTS)), "r") as file:
            shapes = shapes_of(file, path)
    # compile=False: what the model was compiled with is never built
    compiled = config.pop("compile_config", None)
    slots = tuple(shape for name, shape in shapes.items() if name.startswith("/optimizer/"))
    return Saved(config, compiled or None, slots, _size(shapes))


def _read_hdf5(path: Path) -> Saved:
    import h5py  # noqa: PLC0415

    with h5py.File(path, "r") as file:
        shapes = shapes_of(file, path)
        if HDF5_CONFIG not in file.attrs:
            raise not_a_model.weights_only(path)
        config = parse(attribute(file, HDF5_CONFIG, path), HDF5_CONFIG, path)
        compiled = None
        if TRAINING in file.attrs:
            compiled = parse(attribute(file, TRAINING, path), TRAINING, path)
    if compiled and "optimizer" not in compiled:
        compiled["optimizer"] = compiled.get("optimizer_config")
    slots = tuple(shape for name, shape in shapes.items() if name.startswith("/optimizer_weights/"))
    return Saved(config, compiled, slots, _size(shapes), is_hdf5=True)


def _size(shapes: dict[str, tuple[int, ...]]) -> int:
    return 8 * sum(map(math.prod, shapes.values()))


def complaints(config: Any) -> Iterator[str]:
    """Say what is wrong with a configuration, to follow the name of the file."""
    waiting: list[Iterator[tuple[str, Any]]] = [iter([("", config)])]
    while waiting:
        key, value = next(waiting[-1], ("", waiting))
        if value is waiting:
            waiting.pop()
        elif isinstance(value, dict):
            if isinstance(value.get("class_name"), str) or "function_type" in value:
                yield from _complaints_of(value)
            waiting.append(iter(value.items()))
        elif isinstance(value, list):
            waiting.append(zip(itertools.repeat(key), value))
        elif isinstance(value, str) and (key in _FILES or leads_outside(value)):
            yield (
                f"names a file or an address in its configuration, {key}={value[:100]!r}: it is "
                f"not loaded, since Keras might open it."
            )


def _complaints_of(entry: dict[str, Any]) -> Iterator[str]:
    import keras  # noqa: PLC0415

    name, module = str(entry.get("class_name")), entry.get("module")
    alias = str(entry.get("registered_name") or name)
    code = _CODE & {re.split("[.>]", each)[-1] for each in (name, alias)}
    if code or "function_type" in entry:
        layer = "a Lambda layer" if not code & (_CODE - {"Lambda", "__lambda__"}) else f"a {name}"
        yield (
            f"holds {layer}, which is code, and code in a file is not run. Save the model with a "
            f"layer class or keras.ops in its place."
        )
    if name in _PLAIN or keras.saving.get_registered_object(alias) is not None:
        return
    function = name == "function"
    if function:
        name = str(entry.get("config"))
        if keras.saving.get_registered_object(name) is not None:
            return
    named = module is None and _is_named(name)  # HDF5 files name no module
    if not named and module is None and (name in _TF_LAMBDA or _is_operation(name)):
        yield (
            f"holds '{name}', an operation on tensors such as x / 127.5, which cannot be read from "
            f"HDF5. Where the model runs, write it as a layer (x / 127.5 - 1 is "
            f"layers.Rescaling(1 / 127.5, -1)) and save it again, or with Keras 3 save it as "
            f".keras."
        )
    if not named and not _is_known(str(module), name, function=function):
        home = "an unknown module" if module is None else f"'{module}'"
        yield (
            f"holds '{name}' of {home}, which neither Keras nor headfit knows as a part of a "
            f"model. Expected layers of Keras or headfit. Custom classes must be registered with "
            f"@keras.saving.register_keras_serializable() by the program that loads them."
        )


def _is_named(name: str) -> bool:
    import keras  # noqa: PLC0415

    parts = [getattr(keras, part, None) for part in sorted(_CLASSES)]
    return name in _TOP or name.startswith("__") or any(hasattr(part, name) for part in parts)


def _is_operation(name: str) -> bool:
    import keras  # noqa: PLC0415

    return hasattr(keras.ops, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def _is_known(module: str, name: str, *, function: bool) -> bool:
    package, *rest = module.split(".")
    source = rest[:1] == ["src"]
    part = next(iter(rest[source:]), "")
    if not name.isidentifier():
        return False
    if function:
        return module == "builtins" or (package == "keras" and part in _FUNCTIONS)
    if package == "keras":
        classes = _CLASSES | ({"applications"} if source else set())
        return part in classes if part else name in _TOP
    return package in _PACKAGES
