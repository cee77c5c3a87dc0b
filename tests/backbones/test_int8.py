"""Quantising a real graph with the real NNCF."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from skimage import data

from headfit.backbones.catalog import find
from headfit.backbones.engines.engine import open_engine
from headfit.backbones.graphs import int8
from headfit.backbones.graphs.graph import cosines
from headfit.errors import DataError, EngineError, UsageError
from headfit.util import child

SPEC = find("MobileNet")
CONTRACT = SPEC.contract(32)
needs_nncf = pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None, reason="needs the extra int8"
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twelve crops of photographs as files, and one file that is no picture."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(12):
        photo = (data.chelsea, data.coffee, data.astronaut)[number % 3]()
        at = 20 * number
        Image.fromarray(photo[at // 4 :, at:]).save(folder / f"{number:02}.png")
    (folder / "05x.png").write_bytes(b"not a picture")
    return sorted(folder.iterdir())


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def pixels(paths):
    images = [Image.open(path).convert("RGB").resize((32, 32)) for path in paths]
    return np.stack([np.asarray(image) for image in images])


def run(engine, images):
    found = dict(engine.run((i, image[None]) for i, image in enumerate(images)))
    return np.concatenate([found[i] for i in range(len(images))])


@needs_nncf
@pytest.mark.slow
def test_an_int8_graph_is_made_once_and_runs_near_float32(photos, home, monkeypatch):
    used, told = int8.calibration(photos), []
    rough = open_engine(SPEC, CONTRACT, "random", calibration=used, tell=told.append)
    assert told[-1] == "Quantising the graph to int8 with 13 of your images (once)"
    assert (rough.info.precision, rough.info.calibrated_on) == ("int8", 12)  # one is no picture
    assert 0.5 < rough.info.cosine < 1 and rough.info.speedup > 0.05
    exact = open_engine(SPEC, CONTRACT, "random", engine="openvino")
    assert (exact.info.precision, exact.info.calibrated_on, exact.info.speedup) == ("float32", 0, 1)
    images = pixels([path for path in photos if path.name != "05x.png"])
    maps, expected = run(rough, images), run(exact, images)
    assert maps.dtype == np.float32 and maps.shape == expected.shape
    assert cosines(maps, expected).min() > 0.8
    assert not np.array_equal(maps, expected)
    single = np.concatenate([run(rough, image[None]) for image in images])
    assert np.array_equal(single, maps)
    monkeypatch.setattr(child, "start", lambda *_, **__: pytest.fail("made again"))
    again = open_engine(SPEC, CONTRACT, "random", calibration=used)
    assert again.info == rough.info
    assert np.array_equal(run(again, images), maps)


@needs_nncf
@pytest.mark.slow
def test_other_images_or_damage_make_another_graph(photos, home, monkeypatch):
    used = int8.calibration(photos[:3])
    open_engine(SPEC, CONTRACT, "random", calibration=used)
    asked = []

    def refuse(request, *_, **__):
        asked.append(type(request))
        raise EngineError("no helper")

    monkeypatch.setattr(child, "start", refuse)
    with pytest.raises(EngineError, match="no helper"):  # and no fallback to float32
        open_engine(SPEC, CONTRACT, "random", calibration=int8.calibration(photos[:4]))
    for folder in (home / "graphs" / "v1").iterdir():
        if "int8" in (folder / "facts.json").read_text():
            (folder / "graph.bin").write_bytes(b"")
    with pytest.raises(EngineError, match="no helper"):
        open_engine(SPEC, CONTRACT, "random", calibration=used)
    assert asked == [int8.QuantiseRequest] * 2


@needs_nncf
@pytest.mark.slow
def test_calibration_without_a_picture_is_an_error_and_no_fallback(photos):
    broken = int8.calibration([path for path in photos if path.name == "05x.png"])
    with pytest.raises(EngineError, match="no image for calibration"):
        open_engine(SPEC, CONTRACT, "random", calibration=broken)


@needs_nncf
@pytest.mark.slow
def test_quantising_reports_nothing_about_the_user(photos, tmp_path, monkeypatch):
    for variable in ("HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    code = (
        "import sys; from pathlib import Path\n"
        "from headfit.backbones.graphs import int8; from headfit.backbones.catalog import find\n"
        "from headfit.backbones.engines.engine import open_engine\n"
        "spec = find('MobileNet'); used = int8.calibration([Path(p) for p in sys.argv[1:]])\n"
        "open_engine(spec, spec.contract(32), 'random', calibration=used)\n"
        "assert 'nncf' not in sys.modules and 'keras' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, *map(str, photos[:2])]
    subprocess.run(command, check=True, timeout=120)
    assert not [path for path in tmp_path.iterdir() if "intel" in path.name.lower()]


@needs_nncf
def test_calibration_images_are_few_and_evenly_spaced(tmp_path):
    paths = []
    for number in range(700):
        paths.append(tmp_path / f"{number:03}")
        paths[-1].write_bytes(str(number).encode())
    chosen = int8.calibration(paths).paths
    assert len(chosen) == 300
    steps = np.diff([int(path.name) for path in chosen])
    assert set(steps) == {2, 3}
    assert int8.calibration(paths[:5]).paths == tuple(paths[:5])


@needs_nncf
def test_calibration_is_named_by_content(tmp_path):
    one, same, other = (tmp_path / name for name in ("one", "same", "other"))
    for path, content in ((one, b"1"), (same, b"1"), (other, b"2")):
        path.write_bytes(content)
    digest = int8.calibration([one]).digest
    assert digest == int8.calibration([same]).digest != int8.calibration([other]).digest


def test_files_that_cannot_be_read_are_passed_over(tmp_path):
    (tmp_path / "here").write_bytes(b"1")
    used = int8.calibration([tmp_path / "absent", tmp_path / "here"])
    assert used.paths == (tmp_path / "here",)
    with pytest.raises(DataError, match=r"none of those chosen .* first is .*absent"):
        int8.calibration([tmp_path / "absent"])


def test_an_absent_package_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(int8, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"nncf.*pip install 'headfit\[int8\]'"):
        int8.check_installed()
