"""Model files are checked before Keras loads them: a file from elsewhere may be hostile.

A ``.keras`` file is a zip archive with a configuration (JSON) and weights (HDF5); an ``.h5`` file
is HDF5 with the configuration in an attribute. Keras' safe mode refuses Lambda layers, but could be
led around (CVE-2025-8747, CVE-2025-9905, CVE-2026-1462, CVE-2026-12570). So every model of the
user's passes :func:`read` first, which refuses

- code: Lambda layers and layers that wrap foreign programs;
- classes and functions other than Keras' own building blocks, KerasHub's, headfit's, and those
  that this process has registered;
- paths of files and URLs in the configuration;
- members of the archive with unsafe names, and links from HDF5 to other files;
- members and arrays that are larger than :data:`LIMITS`, or far larger in memory than on disk.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import stat
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from headfit.errors import ModelFileError
from headfit.util import files, not_a_model

MB = 10**6
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
HDF5_CONFIG, RECORD, ARRAYS = "model_config", "headfit.json", "headfit.f32"
LIMITS = {CONFIG: 16 * MB, HDF5_CONFIG: 16 * MB, METADATA: MB, RECORD: 16 * MB, ARRAYS: 64 * MB}
"""The largest size of each part of a model file, in bytes; weights have no such limit."""
MAX_MEMBERS = 10_000
MAX_EXPANSION = 200
"""How many times as large as on disk anything above :data:`SMALL` may be in memory."""
SMALL = 16 * MB

EXPECTED = "Expected a whole model saved by Keras, .keras or .h5."
SUSPECT = "the file may be damaged or hostile"
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
_OUTSIDE = re.compile(
    r"[a-z][a-z0-9+.-]*://|~?[/\\]|[a-z]:[/\\]|file:|(.*[/\\])?\.\.([/\\]|$)", re.I
)
_FILES = {"vocabulary", "idf_weights", "filepath", "file_path", "filename", "origin", "url"}
"""Arguments that layers take for the name of a file, if they are a text."""


@dataclass(frozen=True)
class Saved:
    """What a saved model says of itself.

    Attributes:
        config: the model's configuration.
        compiled: the ``optimizer`` and ``loss`` that it was compiled with; None if it was not.
        slots: shapes of the optimizer's arrays, without scalars; empty if it never ran.
        is_hdf5: whether the file is HDF5, whatever its name.
    """

    config: dict[str, Any]
    compiled: dict[str, Any] | None
    slots: tuple[tuple[int, ...], ...]
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
    with _as_keras_takes_it(path, saved) as file:
        return keras.saving.load_model(file, compile=False, safe_mode=True)


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
    return saved


def check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    """Check names and sizes in a ``.keras`` file before anything is read from it.

    Raises:
        ModelFileError: if one cannot be meant.
    """
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ModelFileError(
            f"'{path}' has {len(members):,} members, more than the limit of {MAX_MEMBERS:,}: "
            f"{SUSPECT}."
        )
    for name, count in Counter(member.filename for member in members).items():
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if count > 1 or ".." in parts or _OUTSIDE.match(name):
            what = "appears twice" if count > 1 else "leads out of the archive"
            raise ModelFileError(f"The member {name!r} of '{path}' {what}: {SUSPECT}.")
    for member in members:
        _check_limit(member.filename, path, member.file_size)
        if member.flag_bits & 1 or stat.S_ISLNK(member.external_attr >> 16):
            raise ModelFileError(
                f"{member.filename} in '{path}' is a link or encrypted. {EXPECTED}"
            )
        _check_size(member.filename, path, member.file_size, member.compress_size)


def _check_limit(name: str, path: Path, size: int) -> None:
    if (limit := LIMITS.get(name, size)) < size:
        text = f"is {_megabytes(size)}, more than the {_megabytes(limit)} limit: {SUSPECT}."
        raise ModelFileError(f"{name} in '{path}' {text}")


def _check_size(name: str, path: Path, size: int, stored: int) -> None:
    if size > SMALL and size > MAX_EXPANSION * stored:
        raise ModelFileError(
            f"{name} in '{path}' takes {_megabytes(size)} in memory but {stored:,} bytes in the "
            f"file, more than {MAX_EXPANSION} times as much: {SUSPECT}."
        )


def _megabytes(size: int) -> str:
    return f"{size / MB:,.0f} MB"


def _read_zip(path: Path) -> Saved:
    import h5py  # noqa: PLC0415  (comes with Keras)

    with zipfile.ZipFile(path) as archive:
        check_archive(archive, path)
        names = archive.namelist()
        if CONFIG not in names:
            raise ModelFileError(f"'{path}' is a zip archive without {CONFIG}. {EXPECTED}")
        if WEIGHTS not in names:
            raise ModelFileError(f"'{path}' is a zip archive without {WEIGHTS}. {EXPECTED}")
        config = json.loads(archive.read(CONFIG))
        # into memory, as Keras will: through the archive, each step would read it from its start
        with h5py.File(io.BytesIO(archive.read(WEIGHTS)), "r") as file:
            shapes = shapes_of(file, path)
    # compile=False: what the model was compiled with is never built
    compiled = config.pop("compile_config", None)
    slots = tuple(shape for name, shape in shapes.items() if name.startswith("/optimizer/"))
    return Saved(config, compiled or None, slots)


def _read_hdf5(path: Path) -> Saved:
    import h5py  # noqa: PLC0415

    with h5py.File(path, "r") as file:
        shapes = shapes_of(file, path)
        if HDF5_CONFIG not in file.attrs:
            raise not_a_model.weights_only(path)
        text = file.attrs[HDF5_CONFIG]
        _check_limit(HDF5_CONFIG, path, len(text))
        config = json.loads(text)
        training = file.attrs.get("training_config")
    compiled = json.loads(training) if training is not None else None
    if compiled and "optimizer" not in compiled:
        compiled["optimizer"] = compiled.get("optimizer_config")
    slots = tuple(shape for name, shape in shapes.items() if name.startswith("/optimizer_weights/"))
    return Saved(config, compiled, slots, is_hdf5=True)


def shapes_of(file: Any, path: Path) -> dict[str, tuple[int, ...]]:
    """Give the shapes of all arrays in HDF5, without scalars; raise ModelFileError for odd ones."""
    import h5py  # noqa: PLC0415

    shapes: dict[str, tuple[int, ...]] = {}
    seen: set[int] = set()
    waiting = [("", file)]
    while waiting:
        place, group = waiting.pop()
        for name in group:
            inner = f"{place}/{name}"
            # not opened before its link is known: opening follows it
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ModelFileError(f"{inner} in '{path}' is a link: {SUSPECT}.")
            item = group[name]
            if isinstance(item, h5py.Group):
                address = h5py.h5o.get_info(item.id).addr
                waiting += [] if address in seen else [(inner, item)]
                seen.add(address)
            elif isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise ModelFileError(f"{inner} in '{path}' lies in another file: {SUSPECT}.")
                _check_size(inner, path, item.nbytes, item.id.get_storage_size())
                if item.shape:
                    shapes[inner] = item.shape
    return shapes


def complaints(config: Any) -> Iterator[str]:
    """Say what is wrong with a configuration, to follow the name of the file."""
    waiting: list[tuple[str, Any]] = [("", config)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            if isinstance(value.get("class_name"), str) or "function_type" in value:
                yield from _complaints_of(value)
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(key, each) for each in value]
        elif isinstance(value, str) and (key in _FILES or _OUTSIDE.match(value)):
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
