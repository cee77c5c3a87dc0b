from __future__ import annotations

import io
import math
import shutil
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from PIL import Image

from headfit.backbones.catalog import find
from headfit.backbones.engines.engine import EngineInfo, Joint, Tagged, open_engine
from headfit.backbones.engines.interface import probe_images
from headfit.errors import DataError, EngineError, WriteError
from headfit.features import writer
from headfit.features.extract import extract
from headfit.features.store import FeatureStore
from headfit.images.contract import Contract
from headfit.images.decode import decode
from headfit.images.index import ImageIndex
from headfit.images.phash import perceptual_hash
from headfit.images.read_ahead import READ_AHEAD
from headfit.progress import Callback

SIDE, CELL = 32, 8
CONTRACT = Contract(SIDE, SIDE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
READ_SO_FAR = 1 + 2 * READ_AHEAD  # at most, when the first image passes
INFO = EngineInfo("tiny", (SIDE // CELL, SIDE // CELL, 3), 0, "no weights", 1.0)


def pass_of(index, contract, store, opening, *args, **kwargs):
    """The pass of one cut."""
    (found,) = extract(index, contract, [store], lambda: Joint.of(opening()), *args, **kwargs)
    return found


class Counter(Callback):
    """Gathers the numbers of images done and skipped; interrupts at one of them."""

    def __init__(self, stop: int = -1) -> None:
        self.reports: list[tuple[float, int]] = []
        self.stop = stop

    def on_progress(self, done: float, detail: str = "", skipped: int = 0) -> None:
        self.reports.append((done, skipped))
        if done == self.stop:
            raise KeyboardInterrupt


class Averages:
    """A network without weights: mean colours of cells. It may hold results back, as engines do.

    Args:
        held: how many results are held back, to come out last first.
    """

    def __init__(self, held: int = 1) -> None:
        self.info, self.held = INFO, held
        self.seen: list[str] = []

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        ready: list[Tagged] = []
        for tag, images in batches:
            self.seen.append(tag)
            ready.append((tag, self.maps(images)))
            if len(ready) == self.held:
                yield from reversed(ready)
                ready = []
        yield from reversed(ready)

    def maps(self, images: np.ndarray) -> np.ndarray:
        cells = images.reshape(len(images), SIDE // CELL, CELL, SIDE // CELL, CELL, 3)
        return cells.mean(axis=(2, 4), dtype=np.float32)

    def images_seen(self) -> list[str]:
        """Tags without those of the probe images and of the timing."""
        return [tag for tag in self.seen if isinstance(tag, str)]


def photo(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (40, 48, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def make_folder(root, per_class: int = 6):
    for k, name in enumerate(("cat", "dog")):
        (root / name).mkdir(parents=True)
        for i in range(per_class):
            (root / name / f"{i:03}.png").write_bytes(photo(per_class * k + i))
    return ImageIndex.from_directory(root)


@pytest.fixture
def index(tmp_path):
    return make_folder(tmp_path / "photos")


@pytest.fixture
def store(tmp_path):
    return FeatureStore(tmp_path / "store")


def never():
    raise AssertionError("the engine was opened")


def expected(index: ImageIndex) -> np.ndarray:
    images = [decode(index.read_bytes(i), SIDE, SIDE) for i in range(len(index))]
    return Averages().maps(np.stack(images)).astype(np.float16).astype(np.float32)


def hashes_of(index: ImageIndex) -> list[int]:
    images = [decode(index.read_bytes(i), SIDE, SIDE) for i in range(len(index))]
    return [perceptual_hash(image) for image in images]


def maps_of(found) -> np.ndarray:
    return np.concatenate([piece for _, piece in found.maps.chunks()])


def test_each_image_passes_once_and_maps_follow_the_index(index, store):
    engine = Averages()
    found = pass_of(index, CONTRACT, store, lambda: engine)
    assert (found.computed, found.cached) == (12, 0)
    assert sorted(engine.images_seen()) == sorted(found.digests)
    assert found.index.paths == index.paths
    assert found.hashes.tolist() == hashes_of(index) and len(set(hashes_of(index))) == 12
    np.testing.assert_array_equal(maps_of(found), expected(index))


def test_a_second_run_never_opens_the_engine(index, store):
    first = pass_of(index, CONTRACT, store, Averages)
    again = pass_of(index, CONTRACT, FeatureStore(store.folder), never)
    assert (again.computed, again.cached) == (0, 12)
    np.testing.assert_array_equal(maps_of(again), maps_of(first))
    np.testing.assert_array_equal(again.hashes, first.hashes)
    assert (again.info, again.latency_ms, again.digests) == (INFO, first.latency_ms, first.digests)
    assert first.latency_ms > 0
    np.testing.assert_array_equal(again.probe, Averages().maps(probe_images(SIDE, SIDE)))


def test_only_new_images_pass(index, store, tmp_path):
    pass_of(index, CONTRACT, store, Averages)
    (tmp_path / "photos" / "cat" / "new.png").write_bytes(photo(99))
    shutil.move(tmp_path / "photos" / "dog" / "000.png", tmp_path / "photos" / "dog" / "zzz.png")
    engine = Averages()
    index = ImageIndex.from_directory(tmp_path / "photos")
    found = pass_of(index, CONTRACT, store, lambda: engine)
    assert (found.computed, found.cached, len(engine.images_seen())) == (1, 12, 1)
    np.testing.assert_array_equal(maps_of(found), expected(index))


def test_a_damaged_note_is_measured_anew(index, store):
    pass_of(index, CONTRACT, store, Averages)
    (store.folder / "facts.json").write_text("{}")
    found = pass_of(index, CONTRACT, store, Averages)
    assert (found.computed, found.info) == (0, INFO)
    assert pass_of(index, CONTRACT, store, never).latency_ms == found.latency_ms


def test_float32_is_kept_to_the_bit(index, store):
    found = pass_of(index, CONTRACT, store, Averages, dtype="float32")
    images = [decode(index.read_bytes(i), SIDE, SIDE) for i in range(len(index))]
    np.testing.assert_array_equal(maps_of(found), Averages().maps(np.stack(images)))


@pytest.mark.parametrize("held", [2, 5, 100])
def test_results_in_any_order_are_those_of_one_by_one(index, store, held, tmp_path):
    one_by_one = pass_of(index, CONTRACT, FeatureStore(tmp_path / "other"), Averages)
    found = pass_of(index, CONTRACT, store, lambda: Averages(held))
    np.testing.assert_array_equal(maps_of(found), maps_of(one_by_one))


def test_several_blocks_are_as_good_as_one(index, store, monkeypatch):
    monkeypatch.setattr(writer, "BLOCK_BYTES", 5 * 2 * math.prod(INFO.map_shape))
    found = pass_of(index, CONTRACT, store, Averages)
    assert [len(block) for block in found.maps.blocks] == [5, 5, 2]
    np.testing.assert_array_equal(maps_of(found), expected(index))


def test_copies_pass_once(index, store, tmp_path):
    for name in ("copy-1.png", "copy-2.png"):
        shutil.copy(tmp_path / "photos" / "cat" / "002.png", tmp_path / "photos" / "dog" / name)
    index = ImageIndex.from_directory(tmp_path / "photos")
    engine = Averages()
    found = pass_of(index, CONTRACT, store, lambda: engine)
    assert (found.computed, found.cached, len(engine.images_seen())) == (12, 2, 12)
    assert len(set(found.digests)) == 12
    assert found.hashes.tolist() == hashes_of(index)
    np.testing.assert_array_equal(maps_of(found), expected(index))


def test_unreadable_files_are_listed_with_the_reason(index, store, tmp_path):
    (tmp_path / "photos" / "cat" / "000.png").write_bytes(b"")
    (tmp_path / "photos" / "cat" / "003.png").write_bytes(photo(3)[:300])
    (tmp_path / "photos" / "dog" / "001.png").unlink()
    counter = Counter()
    found = pass_of(index, CONTRACT, store, Averages, counter)
    assert {skipped.path: skipped.reason for skipped in found.index.skipped} == {
        "cat/000.png": "empty file",
        "cat/003.png": "truncated PNG",
        "dog/001.png": "No such file or directory",
    }
    assert (found.computed, len(found.index), len(found.maps)) == (9, 9, 9)
    assert found.index.counts() == {"cat": 4, "dog": 5}
    np.testing.assert_array_equal(maps_of(found), expected(found.index))
    assert [done for done, _ in counter.reports] == list(range(1, 13))
    assert counter.reports[-1] == (12, 3)


def test_no_readable_image_is_an_error_before_the_engine_is_opened(index, store):
    for i in range(len(index)):
        index.source.root.joinpath(index.paths[i]).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"No image in .* of 12.* cat/000\.png: not a JPEG"):
        pass_of(index, CONTRACT, store, never)


def test_an_interrupted_run_keeps_what_was_done_and_resumes(index, store):
    with pytest.raises(KeyboardInterrupt):
        pass_of(index, CONTRACT, store, Averages, Counter(stop=8))
    assert len(FeatureStore(store.folder)) == 7
    found = pass_of(index, CONTRACT, FeatureStore(store.folder), Averages)
    assert (found.computed, found.cached) == (5, 7)
    np.testing.assert_array_equal(maps_of(found), expected(index))


def test_a_failing_engine_keeps_what_was_done(index, store):
    class Fails(Averages):
        def run(self, batches):
            for number, result in enumerate(super().run(batches)):
                if number == 4:
                    raise EngineError("out of memory")
                yield result

    with pytest.raises(EngineError, match="out of memory"):
        pass_of(index, CONTRACT, store, Fails)
    assert len(FeatureStore(store.folder)) == 4


def test_an_engine_without_finite_values_is_an_error(index, store):
    class Broken(Averages):
        def maps(self, images):
            return np.full((len(images), *INFO.map_shape), np.nan, np.float32)

    with pytest.raises(EngineError, match="infinite or missing values"):
        pass_of(index, CONTRACT, store, Broken)
    assert len(FeatureStore(store.folder)) == 0


def test_a_store_that_cannot_be_written_is_an_error(index, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError):
        pass_of(index, CONTRACT, FeatureStore(tmp_path / "file" / "store"), Averages)


def test_few_images_are_decoded_ahead(tmp_path, store):
    index = make_folder(tmp_path / "many", 40)

    class Deletes(Averages):
        """Deletes, at its first image, all files that need not have been read by then."""

        def run(self, batches):
            for tag, images in batches:
                if not self.seen:
                    for i in range(READ_SO_FAR, len(index)):
                        index.source.root.joinpath(index.paths[i]).unlink()
                yield from super().run([(tag, images)])

    found = pass_of(index, CONTRACT, store, Deletes)
    assert len(found.index) == READ_SO_FAR
    assert len(found.index.skipped) == 80 - len(found.index)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_real_backbone_gives_the_same_bits_in_flight_and_alone(tmp_path, store, dtype):
    index = make_folder(tmp_path / "real", 8)
    spec = find("MobileNet")
    contract = spec.contract(64)
    opened = open_engine(spec, contract, "random")
    found = pass_of(index, contract, store, lambda: opened, dtype=dtype)
    assert {block.dtype.name for block in found.maps.blocks} == {dtype}
    assert found.maps.shape == (16, 2, 2, 1024) and found.info.cosine > 0.9999
    for i, maps in enumerate(maps_of(found)):
        image = decode(index.read_bytes(i), 64, 64)
        ((_, alone),) = opened.run([(0, image[None])])
        np.testing.assert_array_equal(maps, alone[0].astype(dtype))
    again = pass_of(index, contract, FeatureStore(store.folder), never)
    np.testing.assert_array_equal(again.probe, found.probe)
