from __future__ import annotations

import os
import pickle
import struct
import sys
from collections import OrderedDict
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headfit.backbones.catalog import find
from headfit.backbones.torch_file import MAGIC, read_state_dict
from headfit.backbones.weights import packaged_weights
from headfit.errors import WeightsError

LITE0 = packaged_weights(find("efficientnet_lite0"))


class FloatStorage:
    """Pickled by name as ``torch.FloatStorage``."""


class HalfStorage:
    """A storage type that is not admitted."""


def _rebuild_tensor_v2() -> None:
    """Pickled by name as ``torch._utils._rebuild_tensor_v2``."""


@pytest.fixture(scope="module", autouse=True)
def torch_names():
    """Let pickle find torch's names while it writes; the reader never looks them up."""
    modules = {"torch": (FloatStorage, HalfStorage), "torch._utils": (_rebuild_tensor_v2,)}
    with pytest.MonkeyPatch.context() as patch:
        for name, members in modules.items():
            module = ModuleType(name)
            patch.setitem(sys.modules, name, module)
            for member in members:
                setattr(module, member.__name__, member)
                patch.setattr(member, "__module__", name)
        patch.setattr(sys.modules["torch"], "_utils", sys.modules["torch._utils"], raising=False)
        yield


class Tensor:
    """Pickles as torch pickles a tensor that views a storage."""

    def __init__(self, shape, *, stride=None, offset=0, size=6, key="7", kind=FloatStorage):
        ordinary = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
        self.arguments = (offset, shape, ordinary if stride is None else stride, False, {})
        self.storage = ("storage", kind, key, "cpu", size)

    def __reduce__(self):
        return _rebuild_tensor_v2, (Storage(self.storage), *self.arguments)


class Storage:
    def __init__(self, pid):
        self.pid = pid


class Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        return obj.pid if isinstance(obj, Storage) else None


class Evil:
    """Pickles as a call of ``os.system``."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def write(path, state: Any, *, magic: Any = MAGIC, values=range(6), size=None, key="7"):
    """Write a file as PyTorch < 1.6 writes a state dict of one storage."""
    numbers = np.array(values, "<f4")
    with path.open("wb") as stream:
        for part in (magic, 1001, {"little_endian": True}, state, [key]):
            Pickler(stream, protocol=2).dump(part)
        stream.write(struct.pack("<q", len(numbers) if size is None else size))
        stream.write(numbers.tobytes())
    return path


def test_reads_the_packaged_weights():
    state = read_state_dict(LITE0)
    assert len(state) == 296
    assert state["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert state["_blocks.0._depthwise_conv.weight"].shape == (32, 1, 3, 3)
    assert state["_fc.weight"].shape == (1000, 1280)
    assert state["_bn0.num_batches_tracked"].shape == ()
    assert all(np.isfinite(array).all() for array in state.values())


def test_reads_tensors_as_views_of_their_storage(tmp_path):
    whole, turned = Tensor((2, 3)), Tensor((3, 2), stride=(1, 3))
    state = read_state_dict(write(tmp_path / "a.pth", {"w": whole, "t": turned, "epoch": 3}))
    assert sorted(state) == ["t", "w"]
    assert np.array_equal(state["w"], [[0, 1, 2], [3, 4, 5]])
    assert np.array_equal(state["t"], state["w"].T)
    assert read_state_dict(write(tmp_path / "b.pth", {"w": Tensor((0, 3))}))["w"].shape == (0, 3)


def test_many_views_of_one_storage_do_not_fill_the_memory(tmp_path):
    state = {f"w{number}": Tensor((500, 500), size=250_000) for number in range(9)}
    path = write(tmp_path / "bomb.pth", state, values=range(250_000))
    with pytest.raises(WeightsError, match="would take over 4 times its own size"):
        read_state_dict(path)


def test_the_state_of_an_object_is_dropped(tmp_path):
    """PyTorch stores metadata as the state of the dictionary; a forged state changes nothing."""
    state = OrderedDict(w=Tensor((2, 3)))
    state._metadata = {"version": 1}
    assert list(read_state_dict(write(tmp_path / "a.pth", state))) == ["w"]


def test_a_device_is_no_file(tmp_path):
    (tmp_path / "a.pth").symlink_to("/dev/zero")
    with pytest.raises(WeightsError, match="must be a regular file"):
        read_state_dict(tmp_path / "a.pth")


@pytest.mark.parametrize("place", ["state", "magic"])
def test_a_malicious_file_is_refused_before_it_runs(tmp_path, place):
    mark = tmp_path / "ran"
    evil = Evil(f'echo > "{mark}"')
    parts = {"state": {"w": evil}} if place == "state" else {"state": {}, "magic": evil}
    path = write(tmp_path / "evil.pth", **parts)
    with pytest.raises(WeightsError, match=r"evil\.pth.*asks to load .*system.* not a tensor"):
        read_state_dict(path)
    assert not mark.exists()
    with path.open("rb") as stream:  # the file is a real attack: pickle itself falls for it
        for _ in range(4 if place == "state" else 1):
            pickle.load(stream)
    assert mark.exists()


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (Tensor((7,)), "beyond its storage"),
        (Tensor((2, 3), offset=1), "beyond its storage"),
        (Tensor((2, 3), stride=(4, 1)), "beyond its storage"),
        (Tensor((2,), offset=-1), "beyond its storage"),
        (Tensor((2,), offset=3, stride=(-1,)), "beyond its storage"),
        (Tensor((1 << 20, 1 << 20), stride=(0, 0)), "beyond its storage"),
        (Tensor((2, 3), size=5), "6 elements where 5 were declared"),
        (Tensor((2, 3), kind=HalfStorage), r"asks to load torch\.HalfStorage"),
        (Tensor((2, 3), key="other"), "damaged"),
        (Tensor((2, 3), stride=(1,)), "damaged"),
        (Tensor(("a", 3), stride=(1, 1)), "damaged"),
        (Tensor((1 << 80,), stride=(1,)), "beyond its storage"),
    ],
)
def test_a_tensor_outside_its_storage_is_refused(tmp_path, tensor, reason):
    with pytest.raises(WeightsError, match=reason):
        read_state_dict(write(tmp_path / "w.pth", {"w": tensor}))


def test_a_file_of_another_kind_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="not a PyTorch state-dict"):
        read_state_dict(write(tmp_path / "m.pth", {}, magic=1))
    with pytest.raises(WeightsError, match="not a PyTorch state-dict"):
        read_state_dict(write(tmp_path / "l.pth", [1, 2]))
    (tmp_path / "new.pth").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(WeightsError, match="zip format"):
        read_state_dict(tmp_path / "new.pth")
    with pytest.raises(WeightsError, match="No such file"):
        read_state_dict(tmp_path / "absent.pth")


def test_a_negative_storage_size_is_refused(tmp_path):
    path = write(tmp_path / "w.pth", {"w": Tensor((2, 3), size=-1)}, size=-1)
    with pytest.raises(WeightsError, match="-1 elements"):
        read_state_dict(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.002, 0.5, 0.999999])
def test_a_truncated_file_is_refused(tmp_path, share):
    data = LITE0.read_bytes()
    path = tmp_path / "cut.pth"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(WeightsError, match=r"cut\.pth"):
        read_state_dict(path)


@given(st.binary(max_size=200))
@example(b"]r\xff\xff\xff\x7f.")  # a memo index that would make C's unpickler take gigabytes
@example(b"\x80\x02\x8a\xff")
def test_random_bytes_give_nothing_but_an_error_of_ours(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "random.pth"
    path.write_bytes(data)
    with pytest.raises(WeightsError):
        read_state_dict(path)


@given(st.data())
def test_flipped_bytes_give_tensors_or_an_error_of_ours(tmp_path_factory, data):
    path = write(tmp_path_factory.getbasetemp() / "flipped.pth", {"w": Tensor((2, 3))})
    content = bytearray(path.read_bytes())
    places = st.integers(0, len(content) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=4)):
        content[place] = value
    path.write_bytes(bytes(content))
    try:
        state = read_state_dict(path)
    except WeightsError:
        return
    assert all(isinstance(array, np.ndarray) and array.size <= 6 for array in state.values())
