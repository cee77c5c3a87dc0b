from __future__ import annotations

import io
import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headfit.errors import ImageError
from headfit.images import read_ahead as module
from headfit.images.contract import Contract
from headfit.images.decode import decode
from headfit.images.read_ahead import (
    READ_AHEAD,
    ReadAhead,
    decode_images,
)

CONTRACT = Contract(24, 20, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
WAYS = pytest.mark.parametrize("seconds", [-1.0, 1000.0], ids=["threads", "in turn"])


def photo(number: int, side: int = 28) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{number:03}.png" for number in range(40)]
    for number, path in enumerate(paths):
        path.write_bytes(photo(number))
    return paths


@WAYS
def test_an_unreadable_image_is_an_error_in_its_place(paths, monkeypatch, seconds):
    monkeypatch.setattr(module, "THREAD_SECONDS", seconds)
    paths[3].unlink()
    paths[7].write_bytes(b"GIF8 and nothing else")
    pairs = list(decode_images(paths, CONTRACT))
    assert [path for path, _ in pairs] == paths
    assert [row for row, (_, each) in enumerate(pairs) if isinstance(each, ImageError)] == [3, 7]
    assert str(pairs[3][1]) == "No such file or directory"
    for path, pixels in pairs[8:]:
        np.testing.assert_array_equal(pixels, decode(path.read_bytes(), 24, 20))


@WAYS
def test_any_other_error_is_raised_and_leaves_no_thread(paths, monkeypatch, seconds):
    monkeypatch.setattr(module, "THREAD_SECONDS", seconds)

    def broken(data: bytes) -> bytes:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(ReadAhead(paths, Path.read_bytes, broken))
    assert not [t for t in threading.enumerate() if t.name.startswith("headfit-decode")]


@WAYS
def test_only_so_many_items_of_an_endless_list_are_begun(monkeypatch, seconds):
    monkeypatch.setattr(module, "THREAD_SECONDS", seconds)
    ahead = ReadAhead(itertools.count(), lambda number: bytes([number % 256]), ord)
    for number, (item, result) in zip(range(300), ahead, strict=False):
        assert (item, result) == (number, number % 256)
        assert ahead.begun - item <= READ_AHEAD
