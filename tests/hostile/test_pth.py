"""A PyTorch file is read by a reader that knows tensors only, in bounded time and memory."""

from __future__ import annotations

import pickle
import time
from pathlib import Path

import pytest

from headfit.backbones.torch_file import MAGIC, read_state_dict
from headfit.errors import WeightsError

PROTO = b"\x80\x02"
VIEW = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = (
    b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x007X\x03\x00\x00\x00cpuK\x06tQ"
)
DEEP = b")q\x01" + b"".join(b"h%ch%c\x86q%c" % (n, n, n + 1) for n in range(1, 60))
"""A tuple of two tuples that are the same tuple of two …: its hash takes 2⁵⁹ steps, its text 2⁵⁹
characters."""


def file(path: Path, state: bytes) -> Path:
    """Write a file whose state dict is this pickle, without its first and last instruction."""
    start = b"".join(pickle.dumps(each, 2) for each in (MAGIC, 1001, {}))
    path.write_bytes(start + PROTO + state + b"." + pickle.dumps([], 2))
    return path


@pytest.mark.parametrize(
    "state",
    {
        "key to hash": b"}" + DEEP + b"Ns",
        "keys to hash": b"}(" + DEEP + b"Nu",
        "key of OrderedDict": b"ccollections\nOrderedDict\n(((" + DEEP + b"Nttt" + b"R",
        "set": b"\x8f(" + DEEP + b"\x90",
        "text of an error": b"(" + DEEP + b"NNNNtQ",
        "key of a storage": b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" + DEEP + b"NK\x06tQ",
        "shape of texts": VIEW
        + b"("
        + STORAGE
        + b"K\x00(\x8a\x05\x00\x00\x00\x00\x01X\x01\x00\x00\x00xtK\x01\x85tR",
        "shape without end": VIEW + b"(" + STORAGE + b"K\x00(" + b"K\x01" * 99_999 + b"t)tR",
        "size": b"\x96" + b"\xff\xff\xff\xff\xff\x00\x00\x00",
        "number": b"\x8b\xff\xff\xff\x7f",
        "memo": b"]r\xff\xff\xff\x7f",
        "object": b"(cbuiltins\nobject\no",
        "instance": b"(ios\nsystem\n",
        "new": b"cbuiltins\nobject\n)\x81",
        "extension": b"\x82\x01",
        "callable state": b"ccollections\nOrderedDict\n)Rcos\nsystem\nb",
        "steps": b"(" + b"]" * 600_000 + b"t",
        "no text": b"}(X\xff\xff\xff\x7fxNu",
    }.items(),
    ids=lambda pair: pair[0],
)
def test_a_pickle_that_asks_for_more_than_tensors_is_refused(
    state: tuple[str, bytes], tmp_path: Path
) -> None:
    path = file(tmp_path / "w.pth", state[1])
    start = time.process_time()
    with pytest.raises(WeightsError, match=r"w\.pth") as error:
        read_state_dict(path)
    assert time.process_time() - start < 5
    assert len(str(error.value)) < 500


def test_the_instructions_of_pytorch_are_known(tmp_path: Path) -> None:
    tensors = VIEW + b"(" + STORAGE + b"K\x00K\x02K\x03\x86K\x03K\x01\x86\x89}tR"
    names = b"ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00w" + tensors + b"u}b"
    start = b"".join(pickle.dumps(each, 2) for each in (MAGIC, 1001, {}))
    data = start + PROTO + names + b"." + pickle.dumps(["7"], 2) + b"\x06" + bytes(7 + 24)
    (tmp_path / "w.pth").write_bytes(data)
    assert read_state_dict(tmp_path / "w.pth")["w"].shape == (2, 3)
