"""The parts of a model file: members of a zip archive, groups and arrays of HDF5, JSON.

What a file declares is checked before it is read, each part and all together, and so is whether it
is true. All limits on what a model file may hold are here.
"""

from __future__ import annotations

import copy
import json
import math
import stat
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from headfit.errors import ModelFileError
from headfit.util.addresses import leads_outside

MB = 10**6
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
HDF5_CONFIG, RECORD, ARRAYS = "model_config", "headfit.json", "headfit.f32"
LIMITS = {CONFIG: 16 * MB, HDF5_CONFIG: 16 * MB, METADATA: MB, RECORD: 16 * MB, ARRAYS: 64 * MB}
"""The largest size of each part of a model file, in bytes; weights have no such limit."""
MAX_MEMBERS = 10_000
MAX_OBJECTS = 500_000
"""Objects and lists in JSON; each takes some 200 bytes of memory. EfficientNetV2L has 20,000."""
MAX_CALLS = 20_000
"""Calls of layers while Keras builds a model, some 2,000 in a second. A sequence of n layers needs
n²/2, since it is built again with each: 250 for VGG16."""
MAX_EXPANSION = 200
"""How many times as large as on disk anything above :data:`SMALL` may be in memory."""
SMALL = 16 * MB
MAX_OUTPUT = 2**28
"""Numbers that a layer may make of one image: 1 GB. VGG16 makes 3 million."""

EXPECTED = "Expected a whole model saved by Keras, .keras or .h5."
SUSPECT = "the file may be damaged or hostile"
_CHUNK = 2**20


def check_archive(archive: zipfile.ZipFile, path: Path) -> None:
    """Check names, sizes and compression in a ``.keras`` file before anything is read from it.

    Raises:
        ModelFileError: if one cannot be meant, or is not what it says.
    """
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ModelFileError(
            f"'{path}' has {len(members):,} members, more than the limit of {MAX_MEMBERS:,}: "
            f"{SUSPECT}."
        )
    for name, count in Counter(member.filename for member in members).items():
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if count > 1 or ".." in parts or leads_outside(name):
            what = "appears twice" if count > 1 else "leads out of the archive"
            raise ModelFileError(f"The member {name!r} of '{path}' {what}: {SUSPECT}.")
    for member in members:
        check_limit(member.filename, path, member.file_size)
        if member.flag_bits & 1 or stat.S_ISLNK(member.external_attr >> 16):
            raise ModelFileError(
                f"{member.filename} in '{path}' is a link or encrypted. {EXPECTED}"
            )
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ModelFileError(
                f"{member.filename} in '{path}' is compressed by another method than deflate, "
                f"which Keras does not use: {SUSPECT}."
            )
        _check_size(member.filename, path, member.file_size, member.compress_size)
    # several members may share their bytes in the file
    _check_size("All", path, sum(each.file_size for each in members), path.stat().st_size)
    for member in members:
        if _true_size(archive, member) != member.file_size:
            raise ModelFileError(
                f"{member.filename} in '{path}' does not have the {member.file_size:,} bytes that "
                f"the archive declares: {SUSPECT}."
            )


def _true_size(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int:
    """Count the bytes of a member, up to one more than it declares."""
    if member.compress_type == zipfile.ZIP_STORED:
        return member.compress_size
    # zipfile stops at the declared size; read whole, it would unpack all there is
    longer = copy.copy(member)
    longer.file_size += 1
    with archive.open(longer) as stream:
        return sum(len(part) for part in iter(lambda: stream.read(_CHUNK), b""))


def check_limit(name: str, path: Path, size: int) -> None:
    """Refuse a part that is larger than its limit; raise ModelFileError."""
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


def parse(text: str | bytes, name: str, path: Path) -> Any:
    """Read JSON that cannot grow to gigabytes.

    Args:
        text: the JSON.
        name: of the part that it is.
        path: the file.

    Raises:
        ModelFileError: if there are more objects in it than any model has.
        ValueError: if it is no JSON.
    """
    data = text.encode() if isinstance(text, str) else text
    if (count := data.count(b"{") + data.count(b"[")) > MAX_OBJECTS:
        raise ModelFileError(
            f"{name} in '{path}' has {count:,} objects, more than the limit of {MAX_OBJECTS:,}: "
            f"{SUSPECT}."
        )
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply") from None


def attribute(file: Any, name: str, path: Path) -> str:
    """Read a text among the attributes of HDF5.

    Raises:
        ModelFileError: if it is a list, whose texts may all be the same megabytes, or too long.
    """
    if file.attrs.get_id(name).shape != ():
        raise ModelFileError(f"{name} in '{path}' is not one text: {SUSPECT}.")
    text = file.attrs[name]
    text = text.decode() if isinstance(text, bytes) else str(text)
    check_limit(name, path, len(text))
    return text


def shapes_of(file: Any, path: Path) -> dict[str, tuple[int, ...]]:
    """Give the shapes of all arrays in HDF5, without scalars; raise ModelFileError for odd ones."""
    import h5py  # noqa: PLC0415

    shapes: dict[str, tuple[int, ...]] = {}
    seen: set[int] = set()
    waiting = [("", file)]
    taken = 0
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
                if item.dtype.hasobject:  # of any length, which no size tells
                    raise ModelFileError(f"{inner} in '{path}' holds no numbers: {SUSPECT}.")
                _check_size(inner, path, item.nbytes, item.id.get_storage_size())
                taken += item.nbytes
                if item.shape:
                    shapes[inner] = item.shape
    _check_size("All", path, taken, file.id.get_filesize())
    return shapes


def check_calls(config: Any, path: Path) -> None:
    """Refuse a configuration that Keras would build for minutes; raise ModelFileError."""
    if (count := _calls(config)[1]) > MAX_CALLS:
        raise ModelFileError(
            f"'{path}' has so many layers that Keras makes {count:,} calls to build it, more than "
            f"the limit of {MAX_CALLS:,}: {SUSPECT}."
        )


def _calls(entry: Any) -> tuple[int, int]:
    """Count the calls of layers to run an entry of a configuration once, and to build it."""
    config = entry.get("config") if isinstance(entry, dict) else None
    inside = config.get("layers", [config.get("layer")]) if isinstance(config, dict) else config
    if not isinstance(inside, list) or inside == [None]:
        return 1, 1
    run = build = 0
    for each in inside:
        nodes = each.get("inbound_nodes") if isinstance(each, dict) else None
        once, made = _calls(each)
        run += once * (len(nodes) if isinstance(nodes, list) and nodes else 1)
        build += made
    return run, build + (
        run * (len(inside) // 2) if entry.get("class_name") == "Sequential" else run
    )


def check_outputs(model: Any, path: Path) -> None:
    """Refuse a Keras model one of whose layers makes gigabytes of one image.

    Raises:
        ModelFileError: if there is one; the message names it.
    """
    for layer in model._flatten_layers():  # the only way to find nested layers
        for each in (layer, *getattr(layer, "operations", ())):
            for node in each._inbound_nodes:
                if complaint := too_large(each.name, node.output_tensors):
                    raise ModelFileError(f"'{path}' cannot be used: {complaint}.")


def too_large(name: str, outputs: Iterable[Any]) -> str:
    """Say what is wrong with the outputs of a layer, Keras tensors; nothing if it is ``""``."""
    count = max((math.prod(d or 1 for d in each.shape[1:]) for each in outputs), default=0)
    if count <= MAX_OUTPUT:
        return ""
    return f"its layer {name!r} makes {count:,} numbers of one image, over the {MAX_OUTPUT:,} limit"
