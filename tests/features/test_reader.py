from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from PIL import Image

from headfit.features.reader import Reader
from headfit.features.store import FeatureStore
from headfit.images import read_ahead as module
from headfit.images.contract import Contract
from headfit.images.decode import decode
from headfit.images.index import ImageIndex
from headfit.images.phash import perceptual_hash
from headfit.util import digests

CONTRACT = Contract(24, 24, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def photo(number: int, side: int = 28) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def index(tmp_path):
    for i in range(60):
        path = tmp_path / "photos" / ("cat", "dog")[i % 2] / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(i))
    return ImageIndex.from_directory(tmp_path / "photos")


def reader_of(index, tmp_path) -> Reader:
    store = FeatureStore(tmp_path / "store")
    return Reader(index.paths, index.read_bytes, CONTRACT, store)


@pytest.mark.parametrize("seconds", [-1.0, 0.0003, 1000.0], ids=["threads", "both", "in turn"])
def test_images_come_in_order_whoever_reads_them(index, tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(module, "THREAD_SECONDS", seconds)
    reader = reader_of(index, tmp_path)
    data = [index.read_bytes(i) for i in range(len(index))]
    found = list(reader.images())
    assert [digest for digest, _ in found] == [digests.of_bytes(one) for one in data]
    expected = np.stack([decode(one, 24, 24) for one in data])
    np.testing.assert_array_equal(np.concatenate([pixels for _, pixels in found]), expected)
    assert list(reader.digests) == list(range(60))
    assert reader.hashes == {digest: perceptual_hash(pixels[0]) for (digest, pixels) in found}


def readers(monkeypatch) -> list[str]:
    """Gather the name of the thread that decodes each image."""
    names = []
    decode_one = Reader._decode

    def watched(self, data):
        names.append(threading.current_thread().name)
        return decode_one(self, data)

    monkeypatch.setattr(Reader, "_decode", watched)
    return names


def test_tiny_files_are_read_without_threads(index, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "THREAD_SECONDS", 0.05)
    names = readers(monkeypatch)
    list(reader_of(index, tmp_path).images())
    assert set(names) == {threading.current_thread().name}


def test_files_that_take_long_are_read_by_threads(index, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "THREAD_SECONDS", 1e-6)
    names = readers(monkeypatch)
    list(reader_of(index, tmp_path).images())
    assert len(names) == 60
    assert all(name.startswith("headfit-decode") for name in names[5:])


def test_a_reader_that_is_closed_stops_reading_and_leaves_no_thread(index, tmp_path):
    reader = reader_of(index, tmp_path)
    images = reader.images()
    next(images)
    images.close()
    assert list(reader.digests) == [0]
    assert not [t for t in threading.enumerate() if t.name.startswith("headfit-decode")]
