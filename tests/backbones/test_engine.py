from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from headfit import backbones
from headfit.backbones.catalog import find
from headfit.backbones.engines.engine import EngineInfo, KerasEngine, OpenVINOEngine, open_engine
from headfit.backbones.graphs import graph as graphs
from headfit.backbones.graphs.graph import BackboneGraphRequest, cosines
from headfit.errors import EngineError
from headfit.util import child

WEIGHTS = Path(__file__).parents[3] / "shared" / "weights"
MOBILENET = WEIGHTS / "mobilenet_1_0_224_no_top.weights.h5"
TINY = find("MobileNet")  # at 32 px with random weights: the quickest to build
# one of each family that is built another way
FAMILIES = {
    "ResNet50": 64,
    "DenseNet121": 64,
    "MobileNetV3Small": 64,
    "EfficientNetV2B0": 64,
    "Xception": 96,
    "InceptionV3": 96,
    "ConvNeXtTiny": 64,
}
# the layouts and preprocessings there are, with real weights where these are at hand, at sizes at
# which other files use them
EXACT = [
    ("efficientnet_lite0", 64, "imagenet"),
    ("MobileNet", 128, str(MOBILENET)),
    ("MobileNetV2", 64, "random"),
    ("EfficientNetB0", 64, "random"),
    ("ResNet50", 64, "random"),
    ("VGG16", 64, "random"),
]


def pictures(contract, count=3):
    """Random pictures with structure at several scales: uint8 (count, height, width, 3)."""
    rng, shape = np.random.default_rng(1), (contract.height, contract.width)
    total = np.zeros((count, *shape, 3))
    for cells in (2, 4, 16, 32):
        coarse = rng.uniform(0, 1, (count, cells, cells, 3))
        rows, columns = (np.arange(length) * cells // length for length in shape)
        total += coarse[:, rows][:, :, columns]
    return (255 * total / total.max()).astype(np.uint8)


def photographs(contract):
    """Photographs of a cat, a rocket, a cup and a face: uint8 (4, height, width, 3)."""
    size = contract.width, contract.height
    photos = (data.chelsea(), data.rocket(), data.coffee(), data.astronaut())
    resized = (Image.fromarray(photo).resize(size, Image.Resampling.BILINEAR) for photo in photos)
    return np.stack([np.asarray(photo) for photo in resized])


def run(engine, images):
    found = dict(engine.run((i, image[None]) for i, image in enumerate(images)))
    return np.concatenate([found[i] for i in range(len(images))])


@pytest.fixture
def no_helper(monkeypatch):
    """Refuse to start a helper process."""

    def refuse(request, *_, **__):
        raise EngineError(f"a helper was wanted for {request.function}")

    monkeypatch.setattr(child, "start", refuse)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A home in which the graph of the tiny backbone has been built, and that graph's folder."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADFIT_HOME", str(home))
        open_engine(TINY, TINY.contract(32), "random", engine="openvino")
    (folder,) = (home / "graphs" / "v1").iterdir()
    return home, folder


@pytest.fixture
def home(built, tmp_path, monkeypatch):
    """A copy of that home, to damage."""
    shutil.copytree(built[0], tmp_path / "home")
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "graphs" / "v1" / built[1].name


def open_tiny(**options):
    return open_engine(TINY, TINY.contract(32), "random", **options)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size", "weights"), EXACT, ids=[name for name, *_ in EXACT])
def test_the_fast_engine_agrees_with_keras_on_photographs(name, size, weights):
    if weights not in ("imagenet", "random") and not Path(weights).exists():
        pytest.skip(f"no {Path(weights).name} beside this repository")
    spec = find(name)
    contract = spec.contract(size)
    fast = open_engine(spec, contract, weights, engine="openvino")
    slow = open_engine(spec, contract, weights, engine="keras")
    assert (fast.info.name, slow.info.name) == ("openvino", "keras")
    for field in ("map_shape", "parameters", "weights_digest"):
        assert getattr(fast.info, field) == getattr(slow.info, field), field
    assert EngineInfo.from_dict(fast.info.to_dict()) == fast.info
    images = photographs(contract)
    maps, expected = run(fast, images), run(slow, images)
    assert maps.dtype == expected.dtype == np.float32
    assert maps.shape == expected.shape == (len(images), *fast.info.map_shape)
    assert cosines(maps, expected).min() >= 0.99999


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), FAMILIES.items())
def test_the_fast_engine_runs_every_family(name, size):
    contract = find(name).contract(size)
    engine = open_engine(find(name), contract, "random", engine="openvino")
    assert engine.info.cosine >= 0.99999  # to Keras in a process of its own
    maps = run(engine, pictures(contract))
    # random weights are of use only if the maps can be told apart and stored
    assert 1e-4 < maps.std() < 1e6
    assert cosines(maps[:1], maps[1:2]).max() < 0.9999


@pytest.mark.slow
def test_a_second_opening_builds_nothing(home, no_helper):
    told = []
    engine = open_tiny(tell=told.append)
    assert isinstance(engine, OpenVINOEngine)
    assert engine.info.cosine >= 0.99999
    assert (engine.info.map_shape, engine.info.note) == ((1, 1, 1024), "")
    assert told == []


@pytest.mark.slow
def test_a_damaged_graph_is_built_again(home):
    data = bytearray((home / "graph.bin").read_bytes())
    data[len(data) // 2] ^= 1
    (home / "graph.bin").write_bytes(data)
    told = []
    engine = open_tiny(engine="openvino", tell=told.append)
    assert engine.info.cosine >= 0.99999
    assert told == ["Building the fast graph of MobileNet at 32 px (once)"]
    assert sorted(path.name for path in home.parent.iterdir()) == [home.name]


@pytest.mark.slow
@pytest.mark.parametrize("file", ["manifest.json", "facts.json", "graph.xml", "graph.bin"])
@pytest.mark.parametrize(
    "damage", [b"", b"{}", b"\x00\xff", None], ids=["empty", "json", "binary", "absent"]
)
def test_damage_of_any_file_is_noticed(home, no_helper, file, damage):
    if damage is None:
        (home / file).unlink()
    else:
        (home / file).write_bytes(damage)
    with pytest.raises(EngineError, match="a helper was wanted"):
        open_tiny(engine="openvino")


@pytest.mark.slow
@pytest.mark.parametrize("package", ["keras", "openvino"])
def test_a_graph_of_another_version_is_not_used(home, no_helper, monkeypatch, package):
    installed = graphs.version
    monkeypatch.setattr(
        graphs, "version", lambda name: "99.0" if name == package else installed(name)
    )
    with pytest.raises(EngineError, match="a helper was wanted"):
        open_tiny(engine="openvino")


@pytest.mark.slow
def test_other_weights_or_another_size_are_another_graph(home, no_helper):
    with pytest.raises(EngineError, match="a helper was wanted"):
        open_engine(TINY, TINY.contract(64), "random", engine="openvino")
    told = []
    with pytest.raises(EngineError, match="a helper was wanted"):
        open_engine(TINY, TINY.contract(32), "imagenet", engine="openvino", tell=told.append)
    assert "may have to download its ImageNet weights" in told[0]  # which takes minutes


@pytest.mark.slow
def test_a_graph_that_disagrees_is_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path))
    monkeypatch.setattr(graphs, "MIN_COSINE", 1.1)  # no graph can agree that well
    told = []
    engine = open_tiny(tell=told.append)
    assert isinstance(engine, KerasEngine)
    assert engine.info.cosine == 1
    assert "OpenVINO cannot run MobileNet here (the graph disagrees with Keras" in engine.info.note
    assert told[-1] == engine.info.note
    assert run(engine, pictures(TINY.contract(32))).shape == (3, 1, 1, 1024)
    assert list((tmp_path / "graphs" / "v1").iterdir()) == []


@pytest.mark.slow
def test_helpers_end_with_the_call_that_started_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path))
    start, jobs = child.start, []

    def recorded(request, *arguments, **options):
        if request.function.endswith("reference"):
            raise KeyboardInterrupt  # while the other one is at work
        jobs.append(start(request, *arguments, **options))
        return jobs[-1]

    monkeypatch.setattr(child, "start", recorded)
    with pytest.raises(KeyboardInterrupt):
        open_tiny()
    (job,) = jobs
    assert job.process.returncode is not None
    assert list((tmp_path / "graphs" / "v1").iterdir()) == []


@pytest.mark.slow
def test_results_do_not_depend_on_the_order_of_images(home):
    engine, images = open_tiny(), pictures(TINY.contract(32), 40)
    found = run(engine, images)
    assert np.array_equal(run(engine, images[::-1])[::-1], found)
    assert np.array_equal(run(engine, images[:1]), found[:1])
    assert len(np.unique(found[:, 0, 0].argmax(1))) > 1


@pytest.mark.slow
def test_an_engine_survives_a_reader_that_stops_or_fails(home):
    engine, images = open_tiny(), pictures(TINY.contract(32), 20)
    running = engine.run((i, image[None]) for i, image in enumerate(images))
    next(running)
    running.close()

    def fails():
        yield 0, images[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(engine.run(fails()))
    assert len(run(engine, images)) == 20


@pytest.mark.slow
def test_nothing_is_reported_about_the_user(home, tmp_path, monkeypatch):
    # where OpenVINO would leave the identifier under which it reports, except in CI
    for variable in ("HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    program = (
        "from headfit.backbones.catalog import find;"
        "from headfit.backbones.engines.engine import *;"
        "s = find('MobileNet'); c = s.contract(32); open_engine(s, c, 'random', engine='openvino')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    contract = TINY.contract(32).to_dict()
    request = BackboneGraphRequest("MobileNet", contract, "random", [""], str(tmp_path))
    child.call(request, backend="openvino")
    assert not [path for path in tmp_path.iterdir() if "intel" in path.name.lower()]


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 8, 11])
def test_keras_fills_batches_up_and_keeps_the_order(count):
    contract = TINY.contract(32)
    engine, images = KerasEngine(TINY, contract, "random"), pictures(contract, count)
    lengths, predict = [], engine._predict

    def counted(pixels):
        lengths.append(len(pixels))
        return predict(pixels)

    engine._predict = counted
    given = list(engine.run((i, image[None]) for i, image in enumerate(images)))
    assert lengths == [8] * -(-count // 8)  # one length, so one compilation
    assert [tag for tag, _ in given] == list(range(count))
    lengths.clear()
    expected = np.concatenate([run(engine, image[None]) for image in images])
    assert lengths == [1] * count  # an only image does not wait for a batch
    assert cosines(np.concatenate([maps for _, maps in given]), expected).min() >= 0.999999


@pytest.mark.slow
def test_keras_gives_an_image_the_same_bits_in_any_company():
    contract = TINY.contract(32)
    engine, images = KerasEngine(TINY, contract, "random"), pictures(contract, 13)
    found = run(engine, images)
    assert np.array_equal(run(engine, images[::-1])[::-1], found)
    assert np.array_equal(run(engine, images[:2]), found[:2])


def test_a_keras_backend_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "absent")
    monkeypatch.setattr(child, "default_backend", lambda: "absent")
    # Keras may be imported already: let its import fail as it would in a new process
    monkeypatch.setitem(sys.modules, "headfit.backbones.build", None)
    monkeypatch.delattr(backbones, "build", raising=False)
    with pytest.raises(EngineError, match="backend 'absent'"):
        KerasEngine(TINY, TINY.contract(32), "random")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.usefixtures("interruptible", "home")
def test_ctrl_c_is_heard_after_engines_were_opened_and_closed():
    """OpenVINO's signal stack must not outlive it in the main thread."""
    code = (
        "import os, signal, time\n"
        "from headfit.backbones.catalog import find\n"
        "from headfit.backbones.engines.engine import open_engine\n"
        "spec = find('MobileNet')\n"
        "opened = [open_engine(spec, spec.contract(32), 'random') for _ in range(2)]\n"
        "while opened:\n"
        "    del opened[0]\n"  # in the order they were made
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(5)\n"
        "except KeyboardInterrupt:\n"
        "    print('heard')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n"), done.stderr
