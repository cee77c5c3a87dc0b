"""Model files whose parts are not what they say: refused in one line before they are unpacked."""

from __future__ import annotations

import re
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from headfit.errors import ModelFileError
from headfit.model.metadata import ModelRecord
from headfit.util import model_parts
from headfit.util.model_parts import CONFIG, HDF5_CONFIG, RECORD, WEIGHTS, check_archive
from headfit.util.saved_model import read

MB = 10**6
MOST = 64 * MB  # of memory, for files of which each would take at least a hundred


def keras_file(path: Path, method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> Path:
    """Write an archive with the names that a model has; arguments replace their content."""
    content = {CONFIG: b"{}", WEIGHTS: b"", RECORD: b"{}"}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, members.get(name.partition(".")[0], data))
    return path


def directory(path: Path, offset: int, format: str, value: int) -> Path:
    """Change a field of the first member in the central directory."""
    data = bytearray(path.read_bytes())
    struct.pack_into(format, data, data.index(b"PK\x01\x02") + offset, value)
    path.write_bytes(data)
    return path


def _lying(path: Path) -> Path:
    return directory(keras_file(path, config=bytes(150 * MB)), 24, "<I", 2)


def _larger_than_it_is(path: Path) -> Path:
    return directory(keras_file(path), 24, "<I", 3)


def _stored_and_lying(path: Path) -> Path:
    return directory(keras_file(path, zipfile.ZIP_STORED), 24, "<I", 1000)


def _lzma(path: Path) -> Path:
    return directory(keras_file(path, zipfile.ZIP_LZMA, config=bytes(MB)), 24, "<I", 2)


def _bzip2(path: Path) -> Path:
    return keras_file(path, zipfile.ZIP_BZIP2)


def _unknown_method(path: Path) -> Path:
    return directory(keras_file(path), 10, "<H", 77)


def _encrypted(path: Path) -> Path:
    return directory(keras_file(path), 8, "<H", 1)


def _many_that_are_small(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(10):
            archive.writestr(f"assets/{number}", bytes(15 * MB))
    return path


def _damaged(path: Path) -> Path:
    data = bytearray(keras_file(path, config=b"{}" + b" " * 999).read_bytes())
    data[41:50] = b"\xff" * 9  # behind the local header
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (_lying, r"(config\.json|All) in|Bad CRC-32 for file .config\.json"),
        (_larger_than_it_is, "does not have the 3 bytes"),
        (_stored_and_lying, "does not have the 1,000 bytes"),
        (_lzma, "compressed by another method than deflate"),
        (_bzip2, "compressed by another method than deflate"),
        (_unknown_method, "compressed by another method than deflate"),
        (_encrypted, "is a link or encrypted"),
        (_many_that_are_small, "All in .* takes 150 MB in memory"),
        (_damaged, "model.keras"),
    ],
)
@pytest.mark.parametrize("reader", [read, ModelRecord.read])
def test_an_archive_that_lies_is_refused(
    reader: Callable[[Path], object], write: Callable[[Path], Path], words: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "model.keras")
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=words):
            reader(path)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()


def test_an_honest_archive_of_any_usual_compression_passes(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        path = keras_file(tmp_path / "model.keras", method, config=b"[1]" * 10**6)
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path)


@pytest.mark.parametrize("text", [b"[]", b'{"a":{}}', b"[0]"])
def test_json_of_countless_objects_is_not_parsed(text: bytes, tmp_path: Path) -> None:
    path = keras_file(tmp_path / "model.keras", config=b"[" + b",".join([text] * 500_000) + b"]")
    with pytest.raises(ModelFileError, match=r"objects, more than the limit of 500,000"):
        read(path)
    assert model_parts.parse(b"[" + b",".join([text] * 100) + b"]", CONFIG, path)


def test_json_that_is_nested_for_ever_is_not_parsed(tmp_path: Path) -> None:
    deep = b"[" * 200_000
    with pytest.raises(ModelFileError, match=r"config\.json is nested too deeply"):
        read(keras_file(tmp_path / "model.keras", config=deep))
    with pytest.raises(ModelFileError, match=r"headfit\.json is nested too deeply"):
        ModelRecord.read(keras_file(tmp_path / "model.keras", headfit=deep))


def sequence(count: int, layer: object = None, kind: str = "Sequential") -> dict[str, Any]:
    return {"class_name": kind, "config": {"layers": [layer or {}] * count}}


@pytest.mark.parametrize(
    "config",
    {
        "sequence": sequence(300),
        "nested": sequence(30, sequence(20, sequence(20))),
        "flat": sequence(20_001, kind="Functional"),
        "calls": sequence(1, {"inbound_nodes": [[]] * 20_001}, "Functional"),
        "wrapped": sequence(100, {"config": {"layer": sequence(100)}}),
    }.items(),
    ids=lambda pair: pair[0],
)
def test_a_model_that_takes_minutes_to_build_is_refused(
    config: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    path = tmp_path / "model.keras"
    with pytest.raises(ModelFileError, match=r"makes [0-9,]+ calls to build it"):
        model_parts.check_calls(config[1], path)
    for honest in (sequence(100), sequence(5_000, kind="Functional"), sequence(20, sequence(20))):
        model_parts.check_calls(honest, path)
    for odd in (None, [], {"config": None}, {"config": [1]}, {"config": {"layers": 3}}):
        model_parts.check_calls(odd, path)


def _shape_bomb(file: h5py.File) -> None:  # CVE-2026-0897 and CVE-2026-12570
    file.create_dataset("w", (50_000_000, 50_000_000), "f4", chunks=(1000, 1000))


def _empty_arrays(file: h5py.File) -> None:
    for number in range(10):
        file.create_dataset(f"w{number}", (1000, 3900), "f4", chunks=(1000, 100))


def _one_array_under_many_names(file: h5py.File) -> None:
    file["w"] = np.zeros(10**6, np.float32)
    for number in range(300):
        file[f"w{number}"] = file["w"]


def _texts_that_share_their_bytes(file: h5py.File) -> None:
    file.create_dataset("w", (10**6,), h5py.string_dtype())


def _list_of_configurations(file: h5py.File) -> None:
    file.attrs[HDF5_CONFIG] = ["{}"] * 3


@pytest.mark.parametrize("inside", [False, True], ids=[".h5", ".keras"])
@pytest.mark.parametrize(
    ("write", "words"),
    [
        (_shape_bomb, "/w in .* takes 10,000,000,000 MB in memory"),
        (_empty_arrays, "All in .* takes 156 MB in memory"),
        (_one_array_under_many_names, "All in .* takes 1,204 MB in memory"),
        (_texts_that_share_their_bytes, "/w in .* holds no numbers"),
        (_list_of_configurations, "model_config in .* is not one text"),
    ],
)
def test_weights_that_do_not_exist_are_refused(
    write: Callable[[h5py.File], None], words: str, inside: bool, tmp_path: Path
) -> None:
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs[HDF5_CONFIG] = "{}"
        write(file)
    if inside:
        if write is _list_of_configurations:
            pytest.skip("a .keras file has its configuration elsewhere")
        path = keras_file(tmp_path / "model.keras", **{"model": path.read_bytes()})
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError, match=words) as error:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
    assert not re.search("[\n\r]", str(error.value))
