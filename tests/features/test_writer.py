from __future__ import annotations

import threading

import numpy as np
import pytest

from headfit.errors import EngineError, WriteError
from headfit.features import writer as module
from headfit.features.store import FeatureStore
from headfit.features.writer import BATCH, WAITING, Writer

SHAPE = (3, 2, 5)


def random_maps(n: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, *SHAPE)).astype(np.float32)


def write(store: FeatureStore, maps: np.ndarray, dtype: str = "float16") -> None:
    with Writer(store, dtype) as writer:
        for number, one in enumerate(maps):
            writer.add(str(number), one[None], number)


def read(store: FeatureStore, n: int) -> np.ndarray:
    maps = FeatureStore(store.folder).maps([str(i) for i in range(n)])
    return np.concatenate([piece for _, piece in maps.chunks()])


def hashes_of(store: FeatureStore, n: int) -> list[int]:
    return FeatureStore(store.folder).hashes([str(i) for i in range(n)]).tolist()


def kinds(store: FeatureStore) -> list[tuple[str, int]]:
    """The dtype and the length of each block, as they were written."""
    return [(block.dtype.name, len(block)) for block in store.maps([]).blocks]


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Its blocks hold four maps of float16, or two of float32."""
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * 2 * 30)
    return FeatureStore(tmp_path / "store")


def test_maps_are_kept_as_float16_in_blocks(store):
    maps = random_maps(10)
    write(store, maps)
    assert kinds(store) == [("float16", 4), ("float16", 4), ("float16", 2)]
    np.testing.assert_array_equal(read(store, 10), maps.astype(np.float16).astype(np.float32))
    assert hashes_of(store, 10) == list(range(10))


def test_float32_on_request_keeps_every_bit(store):
    maps = random_maps(5)
    write(store, maps, "float32")
    assert kinds(store) == [("float32", 2), ("float32", 2), ("float32", 1)]
    np.testing.assert_array_equal(read(store, 5), maps)


def test_a_block_with_a_value_out_of_float16s_range_is_float32(store):
    maps = random_maps(6)
    maps[0, 0, 0, 0], maps[2, 1, 0, 3] = 65_504, -65_600
    write(store, maps)
    assert kinds(store) == [("float16", 2), ("float32", 2), ("float16", 2)]
    found = read(store, 6)
    assert found[0, 0, 0, 0] == 65_504
    np.testing.assert_array_equal(found[2:4], maps[2:4])
    assert hashes_of(store, 6) == list(range(6))


@pytest.mark.parametrize("scale", [1e-5, 1e-9, 1e-19])
def test_a_block_of_maps_too_small_for_float16_is_float32(store, scale):
    maps = random_maps(4) * np.float32(scale)
    write(store, maps)
    assert kinds(store) == [("float32", 2), ("float32", 2)]
    np.testing.assert_array_equal(read(store, 4), maps)


def test_an_empty_map_stays_among_ordinary_ones(store):
    maps = random_maps(4)
    maps[1] = 0
    write(store, maps)
    assert kinds(store) == [("float16", 4)]


def test_maps_larger_than_a_block_get_one_each(store, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    write(store, random_maps(3))
    assert kinds(store) == [("float16", 1)] * 3


def test_nothing_is_written_if_there_is_nothing(store):
    write(store, random_maps(0))
    assert not store.folder.exists()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_values_that_are_not_finite_are_refused_and_the_rest_is_kept(store, value, dtype):
    maps = random_maps(9)
    maps[5, 2, 1, 4] = value
    with pytest.raises(EngineError, match="infinite or missing values"):
        write(store, maps, dtype)
    assert len(FeatureStore(store.folder)) == 5


def test_what_was_added_before_an_interruption_is_kept(store):
    with pytest.raises(KeyboardInterrupt), Writer(store, "float16") as writer:
        for number, one in enumerate(random_maps(7)):
            writer.add(str(number), one[None], 0)
        raise KeyboardInterrupt
    np.testing.assert_array_equal(read(store, 7), random_maps(7).astype(np.float16))
    assert not [t for t in threading.enumerate() if t.name.startswith("headfit-write")]


def test_a_failing_disk_is_said_while_the_engine_still_runs(store):
    store.folder.parent.joinpath("store").write_text("a file is in the way")
    added = 0
    with pytest.raises(WriteError, match="HEADFIT_HOME"), Writer(store, "float16") as writer:
        for number, one in enumerate(random_maps(1000)):
            writer.add(str(number), one[None], 0)
            added += 1
    # at the latest when the queue behind the failed block is full
    assert added <= BATCH * (WAITING + 2)


def test_a_slow_disk_makes_the_engine_wait(store, monkeypatch):
    go, waiting = threading.Event(), threading.Event()
    append = store.append

    def slow(images, rows, hashes):
        go.wait(10)
        append(images, rows, hashes)

    monkeypatch.setattr(store, "append", slow)
    added = []

    def fill() -> None:
        with Writer(store, "float16") as writer:
            for number, one in enumerate(random_maps(200)):
                if number > BATCH * (WAITING + 1):
                    waiting.set()
                added.append(number)
                writer.add(str(number), one[None], 0)

    thread = threading.Thread(target=fill)
    thread.start()
    waiting.wait(0.3)
    held = len(added)
    go.set()
    thread.join()
    assert held <= BATCH * (WAITING + 2)
    assert len(FeatureStore(store.folder)) == 200
