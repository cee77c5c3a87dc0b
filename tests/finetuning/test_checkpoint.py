"""The state of a training is kept whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headfit.errors import WriteError
from headfit.finetuning.checkpoint import Checkpoint
from headfit.util import files

ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7), np.zeros(0, np.uint32)] * 8


def test_what_is_written_is_read_in_its_order(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state.npz")
    assert checkpoint.load() is None
    checkpoint.save(ARRAYS[:2], {"losses": [9.0]})
    checkpoint.save(ARRAYS, {"losses": [0.1, 2.5e-8], "watched": []})
    stored = checkpoint.load()
    assert stored is not None
    arrays, facts = stored
    assert facts == {"losses": [0.1, 2.5e-8], "watched": []}
    assert len(arrays) == len(ARRAYS)
    for array, expected in zip(arrays, ARRAYS, strict=True):
        np.testing.assert_array_equal(array, expected)
        assert array.dtype == expected.dtype
    checkpoint.remove()
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_damaged_state_is_none(tmp_path: Path, share: float) -> None:
    checkpoint = Checkpoint(tmp_path / "state.npz")
    checkpoint.save(ARRAYS, {"losses": []})
    assert checkpoint.path is not None
    written = checkpoint.path.read_bytes()
    checkpoint.path.write_bytes(written[: int(share * len(written))])
    assert checkpoint.load() is None


def test_pickled_arrays_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    np.savez(path, array_00000=np.array([print], object), facts=np.frombuffer(b"{}", np.uint8))
    assert Checkpoint(path).load() is None


def test_a_failed_write_leaves_the_former_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = Checkpoint(tmp_path / "state.npz")
    checkpoint.save(ARRAYS, {"epoch": 1})

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(WriteError, match="No space left"):
        checkpoint.save(ARRAYS, {"epoch": 2})
    monkeypatch.undo()
    stored = checkpoint.load()
    assert stored is not None and stored[1] == {"epoch": 1}
    assert [path for path in tmp_path.iterdir() if files.is_temporary(path.name)] == []


def test_no_path_keeps_nothing() -> None:
    checkpoint = Checkpoint()
    checkpoint.save(ARRAYS, {})
    assert checkpoint.load() is None
    checkpoint.remove()
