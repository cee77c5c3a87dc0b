from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from headfit import backbones, worker
from headfit.backbones import engine as engines
from headfit.backbones import graph_cache
from headfit.backbones.catalog import find
from headfit.backbones.engine import EngineInfo, KerasEngine, OpenVINOEngine, open_engine
from headfit.backbones.graph_cache import cosines
from headfit.errors import EngineError

WEIGHTS = Path(__file__).parents[3] / "shared" / "weights"
MOBILENET = WEIGHTS / "mobilenet_1_0_224_no_top.weights.h5"
LITE0 = find("efficientnet_lite0")
TINY = find("MobileNet")  # at 32 px with random weights: the quickest to build
# one of each family that is built another way
FAMILIES = {
    "ResNet50": 64,
    "DenseNet121": 64,
    "MobileNetV3Small": 64,
    "EfficientNetV2B0": 64,
    "Xception": 96,
    "ConvNeXtTiny": 64,
}


def pictures(contract, count=3):
    """Random pictures with structure at several scales: uint8 (count, height, width, 3)."""
    rng, shape = np.random.default_rng(1), (contract.height, contract.width)
    total = np.zeros((count, *shape, 3))
    for cells in (2, 4, 16, 32):
        coarse = rng.uniform(0, 1, (count, cells, cells, 3))
        rows, columns = (np.arange(length) * cells // length for length in shape)
        total += coarse[:, rows][:, :, columns]
    return (255 * total / total.max()).astype(np.uint8)


def run(engine, images):
    found = dict(engine.run((i, image[None]) for i, image in enumerate(images)))
    return np.concatenate([found[i] for i in range(len(images))])


def compare(spec, size, weights):
    """Open the fast engine and Keras' own; give the fast one's maps and the cosines to Keras'."""
    contract = spec.contract(size)
    fast = open_engine(spec, contract, weights, engine="openvino")
    slow = open_engine(spec, contract, weights, engine="keras")
    assert (fast.info.name, slow.info.name) == ("openvino", "keras")
    for field in ("map_shape", "parameters", "weights_digest"):
        assert getattr(fast.info, field) == getattr(slow.info, field), field
    assert EngineInfo.from_dict(fast.info.to_dict()) == fast.info
    images = pictures(contract)
    maps, expected = run(fast, images), run(slow, images)
    assert maps.dtype == expected.dtype == np.float32
    assert maps.shape == expected.shape == (len(images), *fast.info.map_shape)
    return maps, cosines(maps, expected)


@pytest.fixture
def no_helper(monkeypatch):
    """Refuse to start a helper process."""

    def refuse(function, *_, **__):
        raise EngineError(f"a helper was wanted for {function}")

    monkeypatch.setattr(worker, "start", refuse)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A home in which the graph of the tiny backbone has been built, and that graph's folder."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEADFIT_HOME", str(home))
        open_engine(TINY, TINY.contract(32), "random", engine="openvino")
    (folder,) = (home / "graphs").iterdir()
    return home, folder


@pytest.fixture
def home(built, tmp_path, monkeypatch):
    """A copy of that home, to damage."""
    shutil.copytree(built[0], tmp_path / "home")
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "graphs" / built[1].name


def open_tiny(**options):
    return open_engine(TINY, TINY.contract(32), "random", **options)


@pytest.mark.slow
def test_the_fast_engine_agrees_with_keras_on_the_default_backbone():
    maps, cosine = compare(LITE0, 224, "imagenet")
    assert maps.shape[1:] == (7, 7, 1280)
    assert cosine.min() >= 0.99999


@pytest.mark.slow
def test_the_fast_engine_agrees_with_keras_on_the_real_mobilenet():
    if not MOBILENET.exists():
        pytest.skip(f"no {MOBILENET.name} beside this repository")
    maps, cosine = compare(find("MobileNet"), 224, str(MOBILENET))
    assert maps.shape[1:] == (7, 7, 1024)
    assert cosine.min() >= 0.99999


@pytest.mark.slow
def test_the_fast_engine_agrees_with_keras_on_reversed_channels():
    _, cosine = compare(find("VGG16"), 64, "random")
    assert cosine.min() >= 0.99999


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
@pytest.mark.parametrize("file", ["graph.json", "graph.xml", "graph.bin"])
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
    installed = graph_cache.version
    monkeypatch.setattr(
        graph_cache, "version", lambda name: "99.0" if name == package else installed(name)
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
    monkeypatch.setattr(graph_cache, "MIN_COSINE", 1.1)  # no graph can agree that well
    told = []
    engine = open_tiny(tell=told.append)
    assert isinstance(engine, KerasEngine)
    assert engine.info.cosine == 1
    assert "OpenVINO cannot run MobileNet here (the graph disagrees with Keras" in engine.info.note
    assert told[-1] == engine.info.note
    assert run(engine, pictures(TINY.contract(32))).shape == (3, 1, 1, 1024)
    assert list((tmp_path / "graphs").iterdir()) == []


@pytest.mark.slow
def test_helpers_end_with_the_call_that_started_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path))
    start, jobs = worker.start, []

    def recorded(function, *arguments, **options):
        if function.endswith("reference"):
            raise KeyboardInterrupt  # while the other one is at work
        jobs.append(start(function, *arguments, **options))
        return jobs[-1]

    monkeypatch.setattr(worker, "start", recorded)
    with pytest.raises(KeyboardInterrupt):
        open_tiny()
    (job,) = jobs
    assert job.process.returncode is not None
    assert list((tmp_path / "graphs").iterdir()) == []


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
        "from headfit.backbones.catalog import find; from headfit.backbones.engine import *;"
        "s = find('MobileNet'); c = s.contract(32); open_engine(s, c, 'random', engine='openvino')"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    request = {"name": "MobileNet", "contract": TINY.contract(32).to_dict(), "weights": "random"}
    request["folder"] = str(tmp_path)
    worker.call("headfit.backbones.graph:write_backbone", request, backend="openvino")
    assert not [path for path in tmp_path.iterdir() if "intel" in path.name.lower()]


@pytest.mark.slow
def test_latency_is_measured(home):
    assert 0 < engines.latency_ms(open_tiny(), TINY.contract(32), runs=3) < 1000


def test_a_keras_backend_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "absent")
    monkeypatch.setattr(engines, "default_backend", lambda: "absent")
    # Keras may be imported already: let its import fail as it would in a new process
    monkeypatch.setitem(sys.modules, "headfit.backbones.build", None)
    monkeypatch.delattr(backbones, "build", raising=False)
    with pytest.raises(EngineError, match="backend 'absent'"):
        KerasEngine(TINY, TINY.contract(32), "random")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_is_heard_after_engines_were_opened_and_closed():
    """OpenVINO's signal stack must not outlive it in the main thread."""
    open_engine(TINY, TINY.contract(32), "random")  # so that the child finds its graph
    code = (
        "import os, signal, time\n"
        "from headfit.backbones.catalog import find\n"
        "from headfit.backbones.engine import open_engine\n"
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
