from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from headfit.errors import WriteError
from headfit.features import store as module
from headfit.features.store import FeatureStore

SHAPE = (3, 2, 5)
FACTS = {"name": "tiny", "latency_ms": 1.5}


def random_maps(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, *SHAPE)).astype(np.float32)


def names(n: int, prefix: str = "image") -> list[str]:
    return [f"{prefix}-{i}" for i in range(n)]


def read(store: FeatureStore, images) -> np.ndarray:
    return np.concatenate([piece for _, piece in store.maps(images).chunks()])


HASHES = (0, 7, 2**63, 2**64 - 1)


@pytest.fixture
def filled(tmp_path):
    """A store of two blocks, a-0..a-3 in float16, with hashes, and b-0..b-2 in float32."""
    store = FeatureStore(tmp_path / "store")
    store.append(names(4, "a"), random_maps(4, 1).astype(np.float16), HASHES)
    store.append(names(3, "b"), random_maps(3, 2))
    return store


def block_of(store: FeatureStore, image: str):
    """The path of the block that holds an image."""
    (record,) = (
        path
        for path in store.folder.glob("block-*.json")
        if image in json.loads(path.read_text())["images"]
    )
    return record.with_suffix(".npy")


def test_a_reopened_store_gives_back_what_was_appended(filled):
    again = FeatureStore(filled.folder)
    assert len(again) == 7
    assert "a-3" in again and "a-4" not in again
    narrowed = random_maps(4, 1).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(read(again, names(4, "a")), narrowed)
    np.testing.assert_array_equal(read(again, names(3, "b")), random_maps(3, 2))
    assert [block.dtype for block in again.maps([]).blocks].count(np.float16) == 1


def test_perceptual_hashes_come_back_to_the_bit_in_the_order_asked_for(filled):
    for store in (filled, FeatureStore(filled.folder)):
        found = store.hashes(["a-3", "a-0", "a-2"])
        assert found.dtype == np.uint64
        assert found.tolist() == [HASHES[3], HASHES[0], HASHES[2]]
        with pytest.raises(KeyError):
            store.hashes(["b-0"])
        assert store.hashes([]).shape == (0,)


def test_equal_maps_are_told_from_those_of_which_one_differs(tmp_path):
    store = FeatureStore(tmp_path / "store")
    maps = np.ones((150, *SHAPE), np.float16)
    store.append(names(149), maps[:149])
    assert store.maps(names(149)).equal()
    maps[149, 2, 1, 4] = 1.001
    store.append(["other"], maps[149:])
    assert not store.maps([*names(149), "other"]).equal()
    assert not store.maps(["other", "image-3"]).equal()
    assert not store.maps(["other"]).equal()


def test_any_byte_of_the_rows_that_flips_discards_the_block(tmp_path):
    source = FeatureStore(tmp_path / "source")
    source.append(names(2), random_maps(2))
    path = block_of(source, "image-0")
    data, record = path.read_bytes(), path.with_suffix(".json").read_bytes()
    for at in [*range(0, 128, 3), len(data) - 1]:  # numpy's header and the last value
        folder = tmp_path / str(at)
        folder.mkdir()
        (folder / path.name).write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        (folder / path.with_suffix(".json").name).write_bytes(record)
        damaged = FeatureStore(folder)
        assert len(damaged) == 0 and damaged.damaged == [path.stem]


def truncate(path):
    path.write_bytes(path.read_bytes()[:-7])


def misname(path):
    record = path.with_suffix(".json")
    record.write_text(record.read_text().replace("a-0", "a-9"))


def drop_an_image(path):
    record = path.with_suffix(".json")
    data = json.loads(record.read_text())
    record.write_text(json.dumps({**data, "images": data["images"][1:]}))


def alter_a_hash(path):
    record = path.with_suffix(".json")
    record.write_text(record.read_text().replace(f"{7:016x}", f"{5:016x}"))


def overwrite(text):
    return lambda path: path.with_suffix(".json").write_bytes(text)


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        misname,
        drop_an_image,
        alter_a_hash,
        lambda path: path.write_bytes(b""),
        lambda path: path.unlink(),
        *(overwrite(text) for text in (b"", b"[]", b"7", b"{}", b'{"images": 3}', b"\xff{")),
    ],
)
def test_a_damaged_block_is_counted_and_removed_and_the_others_stay(filled, damage):
    path = block_of(filled, "a-0")
    damage(path)
    again = FeatureStore(filled.folder)
    assert again.damaged == [path.stem]
    assert [image for image in names(4, "a") + names(3, "b") if image in again] == names(3, "b")
    np.testing.assert_allclose(read(again, names(3, "b")), random_maps(3, 2), rtol=1e-3)
    assert FeatureStore(filled.folder).damaged == []
    again.append(names(4, "a"), random_maps(4, 1))
    assert len(FeatureStore(filled.folder)) == 7


def test_a_block_whose_writing_was_interrupted_is_not_visible(filled):
    # rows come first, their record last: this is what a killed process leaves behind
    block_of(filled, "a-0").with_suffix(".json").unlink()
    (filled.folder / ".tmp-1234.npy").write_bytes(b"half")
    again = FeatureStore(filled.folder)
    assert len(again) == 3 and again.damaged == []


def test_an_exception_while_writing_leaves_nothing(filled):
    class HaltError(Exception):
        pass

    class Images(list):
        def __iter__(self):
            raise HaltError

    before = sorted(filled.folder.iterdir())
    with pytest.raises(HaltError):
        filled.append(Images(["c-0"]), random_maps(1))
    assert "c-0" not in filled
    assert sorted(filled.folder.iterdir()) == before


def test_maps_come_in_the_order_asked_for(filled):
    everything = np.concatenate([random_maps(4, 1), random_maps(3, 2)])
    images = names(4, "a") + names(3, "b")
    order = [5, 0, 6, 3, 0]
    maps = filled.maps([images[i] for i in order])
    assert maps.shape == (5, *SHAPE) and len(maps) == 5
    ((rows, piece),) = maps.chunks()
    assert rows == slice(0, 5)
    np.testing.assert_allclose(piece, everything[order], rtol=1e-3)
    assert piece.dtype == np.float32
    chosen = maps.subset(np.array([3, 1]))
    np.testing.assert_allclose(next(chosen.chunks())[1], everything[[3, 0]], rtol=1e-3)
    assert filled.maps([]).shape == (0, *SHAPE)


def test_chunks_cover_all_rows_within_the_budget(filled, monkeypatch):
    images = names(3, "b") + names(4, "a")
    whole = read(filled, images)
    monkeypatch.setattr(module, "CHUNK_BYTES", 3 * whole[0].nbytes + 1)
    pieces = list(filled.maps(images).chunks())
    assert [len(piece) for _, piece in pieces] == [3, 3, 1]
    for rows, piece in pieces:
        np.testing.assert_array_equal(piece, whole[rows])
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    assert [len(piece) for _, piece in filled.maps(images).chunks()] == [1] * 7


def test_a_position_is_a_slice_of_the_maps(filled):
    images = ["b-2", "a-1", "b-0", "a-0"]
    whole, maps = read(filled, images), filled.maps(images)
    for row in range(SHAPE[0]):
        for column in range(SHAPE[1]):
            values = maps.position(row, column)
            assert values.dtype == np.float32 and values.flags.writeable
            np.testing.assert_array_equal(values, whole[:, row, column])


def test_stores_may_append_to_one_folder_at_once(tmp_path):
    def fill(number: int) -> None:
        store = FeatureStore(tmp_path)
        for block in range(5):
            store.append(names(3, f"{number}-{block}"), random_maps(3, 10 * number + block))
            store.write_facts({**FACTS, "by": number}, random_maps(2, number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fill, range(4)))
    store = FeatureStore(tmp_path)
    assert len(store) == 60 and store.damaged == []
    np.testing.assert_allclose(read(store, names(3, "2-4")), random_maps(3, 24), rtol=1e-3)
    facts, probe = store.read_facts()
    np.testing.assert_array_equal(probe, random_maps(2, facts["by"]))


def test_notes_come_back_to_the_bit(tmp_path):
    store = FeatureStore(tmp_path)
    assert store.read_facts() is None
    store.write_facts(FACTS, random_maps(2, 1))
    store.write_facts(FACTS, random_maps(2))
    facts, probe = FeatureStore(tmp_path).read_facts()
    assert facts == FACTS
    np.testing.assert_array_equal(probe, random_maps(2))


def test_damaged_notes_are_none(tmp_path):
    store = FeatureStore(tmp_path)
    for name, data in (("facts.json", b"{"), ("facts.json", b"[]"), ("probe-*.npy", b"")):
        store.write_facts(FACTS, random_maps(2))
        (path,) = tmp_path.glob(name)
        path.write_bytes(data)
        assert store.read_facts() is None
    path.unlink()
    assert store.read_facts() is None


def test_a_folder_that_cannot_be_made_is_a_write_error(tmp_path):
    (tmp_path / "file").write_text("")
    store = FeatureStore(tmp_path / "file" / "store")
    with pytest.raises(WriteError, match="HEADFIT_HOME"):
        store.append(names(1), random_maps(1))
    assert "image-0" not in store


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from headfit.errors import WriteError
from headfit.features.store import FeatureStore

store = FeatureStore(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    store.append(["large"], np.ones((1, 50, 50, 4), np.float32))
except WriteError as error:
    print(error)
assert "large" not in store
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on file sizes there")
def test_a_full_disk_is_a_write_error_and_nothing_is_left(filled):
    before = sorted(filled.folder.iterdir())
    command = [sys.executable, "-c", FULL_DISK, str(filled.folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout.startswith("Cannot write") and "Free some space" in found.stdout
    assert sorted(filled.folder.iterdir()) == before
