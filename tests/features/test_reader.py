from __future__ import annotations

import io
import threading

import numpy as np
import pytest
from PIL import Image

from headfit import digests
from headfit.features import reader as module
from headfit.features.reader import READ_AHEAD, Reader
from headfit.features.store import FeatureStore
from headfit.images.contract import Contract
from headfit.images.decode import decode
from headfit.images.index import ImageIndex

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


def reader_of(index, tmp_path, progress=lambda *_: None) -> Reader:
    return Reader(index, CONTRACT, FeatureStore(tmp_path / "store"), progress)


@pytest.mark.parametrize("seconds", [1e-9, 1000.0], ids=["one by one", "in groups"])
def test_images_come_in_order_however_they_are_grouped(index, tmp_path, monkeypatch, seconds):
    monkeypatch.setattr(module, "TASK_SECONDS", seconds)
    reader = reader_of(index, tmp_path)
    data = [index.path(i).read_bytes() for i in range(len(index))]
    found = list(reader.images())
    assert [digest for digest, _ in found] == [digests.of_bytes(one) for one in data]
    expected = np.stack([decode(one, 24, 24) for one in data])
    np.testing.assert_array_equal(np.concatenate([pixels for _, pixels in found]), expected)
    assert list(reader.found) == list(range(60))


def test_files_that_are_read_fast_share_a_task(index, tmp_path, monkeypatch):
    sizes = []
    read = Reader._read_group

    def watched(self, numbers):
        sizes.append(len(numbers))
        return read(self, numbers)

    monkeypatch.setattr(Reader, "_read_group", watched)
    monkeypatch.setattr(module, "TASK_SECONDS", 1000.0)
    list(reader_of(index, tmp_path).images())
    assert sum(sizes) == 60 and max(sizes) == module.LARGEST_GROUP
    sizes.clear()
    monkeypatch.setattr(module, "TASK_SECONDS", 1e-9)
    list(reader_of(index, tmp_path).images())
    assert sizes == [1] * 60


def test_a_reader_that_is_closed_stops_reading_and_leaves_no_thread(index, tmp_path):
    done = []
    images = reader_of(index, tmp_path, lambda number, *_: done.append(number)).images()
    next(images)
    images.close()
    assert done == [1]
    assert not [t for t in threading.enumerate() if t.name.startswith("headfit-decode")]


def test_what_is_begun_stays_within_the_bound(index, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TASK_SECONDS", 1000.0)
    reader = reader_of(index, tmp_path)
    for _ in reader.images():
        assert reader._begun - reader._done < READ_AHEAD + module.LARGEST_GROUP
