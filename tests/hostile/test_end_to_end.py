"""The commands, each on what a stranger sends: one line, under a gigabyte, nothing left behind.

The other files of this folder have the finer cases.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from pathlib import Path

import pytest

import image_bombs as bombs
from contained import GB, headfit
from headfit.backbones.torch_file import MAGIC
from photos import write_folder
from trained_model import Trained

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="links, pipes, and a limit")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("photos") / "all", 4)


def one_line(*arguments: str | Path, words: str, cwd: Path) -> None:
    """Check that a command is refused in one line, within the memory and without output."""
    outcome = headfit(*arguments, cwd=cwd)
    errors = [line for line in outcome.refused(words).splitlines() if line.startswith("Error")]
    assert len(errors) == 1, outcome.err
    assert outcome.peak < GB
    assert not {*(cwd / "out").glob("*")} - {cwd / "out/progress.json"}


def test_images_are_refused_one_by_one_and_the_others_are_classified(
    trained: Trained, tmp_path: Path
) -> None:
    hostile = {
        "segments.jpg": bombs.jpeg(bombs.segment(0xE1, b"Exif\0\0" + bytes(60)) * 100_000),
        "scans.jpg": bombs.scans(2000),
        "texts.png": bombs.png(8, 8, (8, 2), bombs.chunk(b"tEXt", b"a\0b") * 100_000),
        "deep.png": bombs.png(14_000, 14_000, (16, 6)),
        "blocks.gif": bombs.gif(b"!\xfe" + b"\1x" * 2_000_000 + b"\0"),
        "tags.tif": bombs.tiff([(40_000 + n, 1, 10**6, 8) for n in range(2000)], bytes(10**6)),
    }
    for name, data in hostile.items():
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "good.png").write_bytes(trained.fresh[0].read_bytes())
    names = [*hostile, "pipe.jpg", "zero.jpg", "good.png"]
    outcome = headfit("predict", trained.model, *(tmp_path / name for name in names), cwd=tmp_path)
    assert outcome.code == 0
    assert "Traceback" not in outcome.err
    assert outcome.out.count("cannot be read") == len(names) - 1
    assert outcome.peak < GB


def test_a_state_dict_of_countless_views(photos: Path, tmp_path: Path) -> None:
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x007X\x03\0\0\0cpuK\x06tQ"
    view = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage
    view += b"K\0(J\xff\xff\xff\x0ft(K\0t\x89}tR"  # 268 million times the same number
    state = b"\x80\x02}(" + b"".join(b"K%c" % n + view for n in range(9)) + b"u."
    parts = [*(pickle.dumps(part, 2) for part in (MAGIC, 1001, {})), state, pickle.dumps(["7"], 2)]
    path = tmp_path / "lite0.pth"
    path.write_bytes(b"".join(parts) + struct.pack("<q6f", 6, *range(6)))
    arguments = ["--backbone", "efficientnet_lite0", "--weights", path, "--heads", "gap"]
    one_line("compare", photos, *arguments, "--out", "out", words="lite0.pth", cwd=tmp_path)


@pytest.mark.parametrize(
    ("command", "kind"), [("report", "device"), ("report", "too deep"), ("ui", "pipe")]
)
def test_a_run_whose_files_are_none(command: str, kind: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("results.json", "progress.json"):
        if kind == "device":
            (run / name).symlink_to("/dev/zero")
        elif kind == "pipe":
            os.mkfifo(run / name)
        else:
            (run / name).write_text("[" * 10**6)
    one_line(command, run, words=".json", cwd=tmp_path)


def test_links_that_lead_out_and_in_circles(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for link in ("x", "y", "z"):
            (folder / name / link).symlink_to(folder, target_is_directory=True)
    (folder / "c").symlink_to(photos, target_is_directory=True)
    one_line("compare", folder, "--out", "out", words="--follow-links", cwd=tmp_path)


def test_an_expression_that_backtracks(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for path in sorted(photos.rglob("*.jpg")):
        target = folder / path.parent.name / f"{'a' * 40}{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    arguments = ["--groups", r"/(a|aa)+[!-#]", "--out", "out"]
    one_line("compare", folder, *arguments, words="at most 1 s", cwd=tmp_path)


def test_a_name_of_python_beside_the_images_is_not_imported(photos: Path, tmp_path: Path) -> None:
    for name in ("keras", "jax", "numpy", "openvino", "IPython", "requests"):
        (tmp_path / f"{name}.py").write_text(f"open('{tmp_path / 'ran'}', 'w').close()")
    arguments = ["--backbone", "MobileNet", "--weights", "random", "--size", "32"]
    outcome = headfit("diagram", *arguments[:2], "--size", "32", "--out", "out.svg", cwd=tmp_path)
    assert outcome.code == 0, outcome.err
    assert not (tmp_path / "ran").exists()
