from __future__ import annotations

import io
import shutil
from collections import namedtuple
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from PIL import Image

from headfit.backbones.engines.engine import EngineInfo, Joint, Tagged
from headfit.errors import DataError, EngineError, UsageError, WriteError
from headfit.features import extract_views as module
from headfit.features import reader
from headfit.features.extract import extract
from headfit.features.extract_views import extract_views
from headfit.features.store import FeatureStore
from headfit.features.views import Views, ViewStores, bytes_of_views
from headfit.images.augment import Augmentation
from headfit.images.contract import Contract
from headfit.images.decode import decode
from headfit.images.index import ImageIndex
from headfit.progress import Callback
from headfit.util import digests

SIDE = 32
CONTRACT = Contract(SIDE, SIDE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
CELLS = (8, 16)  # of the two cuts
LIGHT = Augmentation.parse("light")
Usage = namedtuple("Usage", "total used free")


class Averages:
    """A network without weights: mean colours of cells. Results come in pairs, the last first."""

    def __init__(self, cell: int) -> None:
        self.cell = cell
        self.info = EngineInfo("tiny", (SIDE // cell, SIDE // cell, 3), 0, "no weights", 1.0)
        self.seen: list[tuple[str, int]] = []

    def run(self, batches: Iterable[Tagged]) -> Iterator[Tagged]:
        ready: list[Tagged] = []
        for tag, images in batches:
            self.seen += [tag] if isinstance(tag, tuple) else []
            ready.append((tag, self.result(images)))
            if len(ready) == 2:
                yield from reversed(ready)
                ready = []
        yield from reversed(ready)

    def result(self, images: np.ndarray) -> np.ndarray:
        return cells(images, self.cell)


class Both(Averages):
    """The same with the maps of both cuts side by side."""

    def result(self, images: np.ndarray) -> np.ndarray:
        return np.concatenate([cells(images, cell).reshape(1, -1) for cell in CELLS], axis=1)


def cells(images: np.ndarray, cell: int) -> np.ndarray:
    count = SIDE // cell
    split = images.reshape(len(images), count, cell, count, cell, 3)
    return split.mean(axis=(2, 4), dtype=np.float32)


class Stop(Callback):
    """Gathers the numbers of images done and skipped; interrupts at one of them."""

    def __init__(self, at: int = -1) -> None:
        self.reports: list[tuple[float, int]] = []
        self.at = at

    def on_progress(self, done: float, detail: str = "", skipped: int = 0) -> None:
        self.reports.append((done, skipped))
        if done == self.at:
            raise KeyboardInterrupt


def photo(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (40, 48, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def root(tmp_path):
    for number in range(8):
        path = tmp_path / "photos" / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(number))
    return tmp_path / "photos"


@pytest.fixture
def open_stores(tmp_path):
    def stores(name: str = "") -> ViewStores:
        folders = (tmp_path / f"{kind}{name}" for kind in ("plain", "others"))
        return ViewStores(*map(FeatureStore, folders))

    return stores


def views_of(root, stores, views=3, engine=None, callback=None, **kwargs):
    """The pass of one cut."""
    wanted = views if isinstance(views, Views) else Views(LIGHT, views)
    index = ImageIndex.from_directory(root)

    def opening() -> Joint:
        return Joint.of(never() if engine == "never" else engine or Averages(CELLS[0]))

    (result,) = extract_views(index, CONTRACT, [stores], wanted, opening, callback, **kwargs)
    return result


def never():
    raise AssertionError("the engine was opened")


def values_of(maps) -> np.ndarray:
    return np.concatenate([piece for _, piece in maps.chunks()])


def expected(index: ImageIndex, count: int, cell: int = CELLS[0]) -> np.ndarray:
    drawn = []
    for row in range(len(index)):
        data = index.read_bytes(row)
        pixels, digest = decode(data, SIDE, SIDE), digests.of_bytes(data)
        drawn += [LIGHT.view(pixels, digest, number) for number in range(count)]
    return cells(np.stack(drawn), cell).astype(np.float16).astype(np.float32)


def test_rows_are_the_views_of_each_image_in_turn(root, open_stores):
    extraction, maps = views_of(root, open_stores())
    assert (len(maps), maps.views, maps.maps.shape) == (8, 3, (24, 4, 4, 3))
    np.testing.assert_array_equal(values_of(maps.maps), expected(extraction.index, 3))
    np.testing.assert_array_equal(values_of(maps.view(0)), values_of(extraction.maps))
    some = maps.of(np.array([5, 2]))
    every = values_of(maps.maps).reshape(8, 3, 4, 4, 3)
    np.testing.assert_array_equal(values_of(some.maps), every[[5, 2]].reshape(6, 4, 4, 3))
    np.testing.assert_array_equal(maps.rows(np.array([5, 2])), [15, 16, 17, 6, 7, 8])


def test_plain_maps_are_those_of_the_plain_pass_and_stored_once(root, open_stores):
    stores = open_stores()
    joint = Joint.of(Averages(CELLS[0]))
    (plain,) = extract(ImageIndex.from_directory(root), CONTRACT, [stores.plain], lambda: joint)
    engine = Averages(CELLS[0])
    extraction, maps = views_of(root, stores, 3, engine)
    assert sorted(number for _, number in engine.seen) == [1] * 8 + [2] * 8
    assert (len(stores.plain), len(stores.others)) == (8, 16)
    np.testing.assert_array_equal(values_of(maps.view(0)), values_of(plain.maps))
    np.testing.assert_array_equal(extraction.hashes, plain.hashes)


def test_a_pass_of_views_serves_the_plain_pass(root, open_stores):
    extraction, _ = views_of(root, open_stores())
    index, store = ImageIndex.from_directory(root), open_stores().plain
    (plain,) = extract(index, CONTRACT, [store], never)
    assert (plain.computed, plain.digests) == (0, extraction.digests)
    np.testing.assert_array_equal(plain.hashes, extraction.hashes)


def test_what_is_stored_is_neither_computed_nor_decoded(root, open_stores, monkeypatch):
    _, first = views_of(root, open_stores())
    monkeypatch.setattr(reader, "decode", lambda *_: never())
    for views in (3, 2, 1):
        extraction, again = views_of(root, open_stores(), views, "never")
        assert (extraction.computed, extraction.cached) == (0, 8)
        every = values_of(first.maps).reshape(8, 3, 4, 4, 3)
        np.testing.assert_array_equal(values_of(again.maps), every[:, :views].reshape(-1, 4, 4, 3))


def test_more_views_add_to_those_that_are_there(root, open_stores):
    views_of(root, open_stores())
    engine = Averages(CELLS[0])
    extraction, maps = views_of(root, open_stores(), 5, engine)
    assert sorted(number for _, number in engine.seen) == [3] * 8 + [4] * 8
    np.testing.assert_array_equal(values_of(maps.maps), expected(extraction.index, 5))


def test_views_depend_on_neither_order_nor_other_images(root, open_stores, tmp_path):
    _, maps = views_of(root, open_stores())
    shutil.move(root / "cat" / "0.png", root / "dog" / "9.png")
    (root / "cat" / "2.png").unlink()
    extraction, others = views_of(root, open_stores("-other"))
    np.testing.assert_array_equal(values_of(others.maps), expected(extraction.index, 3))
    rows = np.array([2, 3, 4, 5, 6, 7, 0])  # cats are 0, 2, 4, 6, dogs 1, 3, 5, 7
    np.testing.assert_array_equal(values_of(others.maps), values_of(maps.of(rows).maps))


def test_a_file_is_decoded_once_for_all_of_its_views(root, open_stores, monkeypatch):
    shutil.copy(root / "cat" / "0.png", root / "dog" / "copy.png")
    decoded = []

    def counting(data, *args):
        decoded.append(digests.of_bytes(data))
        return decode(data, *args)

    monkeypatch.setattr(reader, "decode", counting)
    engine = Averages(CELLS[0])
    extraction, maps = views_of(root, open_stores(), 5, engine)
    # a copy may be decoded while its original is on its way, but has no pass of its own
    assert len(set(decoded)) == 8 and len(decoded) <= 9
    assert len(engine.seen) == len(set(engine.seen)) == 40
    assert (extraction.computed, len(maps)) == (8, 9)


def test_an_interrupted_pass_keeps_what_was_done_and_resumes(root, open_stores):
    with pytest.raises(KeyboardInterrupt):
        views_of(root, open_stores(), 3, callback=Stop(6))
    done = open_stores()
    count = len(done.plain) + len(done.others)
    assert 0 < count < 24
    engine = Averages(CELLS[0])
    extraction, maps = views_of(root, done, 3, engine)
    assert len(engine.seen) == 24 - count
    np.testing.assert_array_equal(values_of(maps.maps), expected(extraction.index, 3))


def test_a_failing_engine_keeps_what_was_done(root, open_stores):
    class Fails(Averages):
        def run(self, batches):
            for number, result in enumerate(super().run(batches)):
                if number == 7:
                    raise EngineError("out of memory")
                yield result

    with pytest.raises(EngineError, match="out of memory"):
        views_of(root, open_stores(), 3, Fails(CELLS[0]))
    assert len(open_stores().plain) + len(open_stores().others) == 7


def test_progress_counts_images_and_a_bad_one_is_skipped_once(root, open_stores):
    (root / "cat" / "2.png").write_bytes(photo(2)[:300])
    counter = Stop()
    extraction, maps = views_of(root, open_stores(), 4, callback=counter)
    assert [each.path for each in extraction.index.skipped] == ["cat/2.png"]
    assert len(extraction.index) == len(maps) == 7
    assert [done for done, _ in counter.reports] == list(range(1, 9))
    assert counter.reports[-1] == (8, 1)


def test_no_readable_image_is_an_error(root, open_stores):
    for path in root.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="No image in"):
        views_of(root, open_stores(), 3, "never")


def test_several_cuts_share_a_pass_and_only_what_one_lacks_is_written(root, open_stores):
    index = ImageIndex.from_directory(root)
    views_of(root, open_stores("-8"), 2)
    parts = [Averages(cell) for cell in CELLS]

    def opening() -> Joint:
        return Joint(Both(CELLS[0]), [part.info for part in parts], parts.__getitem__)

    stores = [open_stores("-8"), open_stores("-16")]
    results = extract_views(index, CONTRACT, stores, Views(LIGHT, 3), opening)
    for (_, maps), cell in zip(results, CELLS, strict=True):
        np.testing.assert_array_equal(values_of(maps.maps), expected(index, 3, cell))
    for each in (open_stores("-8"), open_stores("-16")):
        assert sum(len(block) for block in each.others.maps([]).blocks) == 16


def test_stores_are_told_apart_by_all_that_decides_a_view(fresh_home, monkeypatch):
    monkeypatch.setenv("HEADFIT_HOME", str(fresh_home))
    keys = [
        (key, Augmentation.parse(text, seed))
        for key, text, seed in [("a", "light", 0), ("b", "light", 0), ("a", "light", 1)]
    ]
    keys.append(("a", Augmentation.parse("strong")))
    stores = [ViewStores.open(*key) for key in keys]
    assert len({store.others.folder for store in stores}) == 4
    assert len({store.plain.folder for store in stores}) == 2
    assert stores[0].others.folder == ViewStores.open("a", LIGHT).others.folder


def test_what_does_not_fit_on_the_disk_is_refused_before_it_is_computed(
    root, open_stores, monkeypatch
):
    each = bytes_of_views([(4, 4, 3)], 8, 1)
    assert each == 8 * 4 * 4 * 3 * 2
    engine, free = Averages(CELLS[0]), 3 * each
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: Usage(0, 0, free))
    with pytest.raises(
        WriteError,
        match=r"maps of 5 views of 8 images need 3\.84 kB more, and the disk of '.*' has 2\.3 kB "
        r"free\. Set `views=3` or fewer, or set .* HEADFIT_HOME",
    ):
        views_of(root, open_stores(), 5, engine)
    assert not engine.seen
    views_of(root, open_stores(), 3, engine)  # exactly what is free
    with pytest.raises(WriteError, match="`views=6` or fewer"):  # 3 are there
        views_of(root, open_stores(), 9)
    free = 0
    with pytest.raises(WriteError, match=r"0 B free\. Set `views=3` or fewer"):
        views_of(root, open_stores(), 4)
    with pytest.raises(WriteError, match=r"0 B free\. Set the environment variable"):
        views_of(root, open_stores("-new"), 4)


@pytest.mark.parametrize("count", [0, -1, 2.0, True])
def test_a_number_of_views_that_cannot_be_is_refused(count):
    with pytest.raises(UsageError, match="`views` must be a whole number of at least 1"):
        Views(LIGHT, count)


def test_more_views_than_there_are_different_ones_are_refused():
    flips = Augmentation.parse("hflip,vflip")
    assert Views(flips, 4).count == 4
    with pytest.raises(UsageError, match="`views` must be at most 4 with `augment='hflip,vflip'`"):
        Views(flips, 5)
