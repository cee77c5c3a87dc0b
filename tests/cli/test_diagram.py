"""``headfit diagram`` as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headfit.cli.main import main
from headfit.heads.chain import parse_head
from photos import write_photo

Capture = pytest.CaptureFixture[str]
MAP = ["--map", "220,220,30", "--classes", "2"]


def test_a_map_needs_no_backbone(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "deep" / "a.svg"
    assert main(["diagram", *MAP, "--out", str(out)]) == 0
    assert ET.parse(out).getroot().tag.endswith("svg")
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == f"Written: {out}"
    assert "46,839 times as many parameters" in captured.out
    assert captured.err == ""


def test_json_is_the_only_thing_on_stdout(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "a.svg"
    assert main(["diagram", *MAP, "--json", "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "headfit.diagram/1"
    assert (found["map_shape"], found["classes"]) == ([220, 220, 30], 2)
    for name, features in (("flatten", 1_452_000), ("gap", 30)):
        parameters = parse_head(name).parameters((220, 220, 30), 2)
        assert found[name] == {"features": features, "parameters": parameters}
    assert found["vector_cut"] is True
    assert found["backbone"] is found["input_size"] is found["image"] is None
    assert found["file"] == str(out)


@pytest.mark.parametrize("suffix", ["svg", "PNG"])
def test_the_same_call_writes_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    one, two = tmp_path / f"1.{suffix}", tmp_path / f"2.{suffix}"
    for out in (one, two):
        assert main(["diagram", *MAP, "--dark", "--out", str(out)]) == 0
    assert one.read_bytes() == two.read_bytes()


def test_the_ending_says_the_kind(tmp_path: Path) -> None:
    for suffix in ("svg", "png"):
        assert main(["diagram", *MAP, "--out", str(tmp_path / f"a.{suffix}")]) == 0
    drawn = ET.parse(tmp_path / "a.svg").getroot()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert picture.size == tuple(2 * int(drawn.attrib[side]) for side in ("width", "height"))


def test_a_photograph_shows_the_maps_of_the_real_backbone(tmp_path: Path, capsys: Capture) -> None:
    photo, out = tmp_path / "<b>&.jpg", tmp_path / "a.svg"
    write_photo(photo, 1, np.random.default_rng(0))
    call = ["diagram", "--size", "64", "--image", str(photo), "--out", str(out), "--json"]
    assert main(call) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["backbone"], found["input_size"]) == ("efficientnet_lite0", 64)
    assert found["map_shape"] == [2, 2, 1280]
    assert found["image"]["weights"] == "imagenet"
    means = [channel["mean"] for channel in found["image"]["channels"]]
    assert len(means) == 5
    assert means == sorted(means, reverse=True)
    words = " ".join(ET.parse(out).getroot().itertext())
    assert "<b>&.jpg" in words
    assert all(f"channel {channel['channel']:,}" in words for channel in found["image"]["channels"])


def test_random_weights_are_said_in_the_picture_and_on_stderr(
    tmp_path: Path, capsys: Capture
) -> None:
    photo, out = tmp_path / "a.jpg", tmp_path / "a.svg"
    write_photo(photo, 1, np.random.default_rng(0))
    call = ["diagram", "--size", "64", "--image", str(photo), "--weights", "random"]
    assert main([*call, "--out", str(out)]) == 0
    assert "RANDOM" in capsys.readouterr().err
    # text is broken into lines
    assert "random weights" in " ".join(" ".join(ET.parse(out).getroot().itertext()).split())


@pytest.mark.slow
def test_keras_stays_out_of_the_process(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom headfit.cli.main import main\n"
        f"assert main(['diagram', '--backbone', 'mobilenet', '--size', '64', "
        f"'--out', {str(tmp_path / 'a.svg')!r}]) == 0\n"
        "print(sorted({'keras', 'jax', 'sklearn'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
    assert "2×2×1024" in (tmp_path / "a.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--map", "7,7"], ["'7,7'"]),
        (["--map", "0,7,8"], ["'0,7,8'"]),
        (["--map", "5000,7,8"], ["5000, 7, 8", "4,096"]),
        (["--map", "7,7,8", "--classes", "1"], ["--classes", "1"]),
        (
            ["--map", "7,7,8", "--backbone", "VGG16"],
            ["--backbone must", "'VGG16'", "--map"],
        ),
        (["--map", "7,7,8", "--image", "a.jpg"], ["--image must", "'a.jpg'", "--map"]),
        (["--backbone", "VGG-166"], ["'VGG-166'", "mean 'VGG16'"]),
        (["--backbone", "VGG16", "--size", "31"], ["31", "32 to 2048"]),
        (["--weights", "random"], ["--weights must", "'random'", "--image"]),
        (["--image", "absent.jpg"], ["--image must", "'absent.jpg'"]),
        (["--image", "absent.jpg", "--weights", "b.h5"], ["--weights", "'b.h5'"]),
        (["--out", "a.pdf"], ["--out must", "'a.pdf'", ".svg", ".png"]),
    ],
)
def test_a_wrong_call_is_one_line(
    options: list[str],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["diagram", *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    for word in words:
        assert word in captured.err.strip().splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_refused(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.svg").mkdir()
    assert main(["diagram", *MAP, "--out", str(tmp_path / "a.svg")]) == 2
    assert "not a folder" in capsys.readouterr().err


def test_what_is_no_photograph_leaves_the_former_file_alone(
    tmp_path: Path, capsys: Capture
) -> None:
    photo, out = tmp_path / "a.jpg", tmp_path / "a.svg"
    photo.write_bytes(b"\xff\xd8\xff no photograph")
    out.write_text("as it was")
    assert main(["diagram", "--image", str(photo), "--out", str(out)]) == 1
    assert f"The photograph '{photo}' cannot be read" in capsys.readouterr().err
    assert out.read_text() == "as it was"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "a.svg"]
