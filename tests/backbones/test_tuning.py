"""The trial of settings on a real graph, and how it decides."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from headfit.backbones.catalog import find
from headfit.backbones.engines import engine as engines
from headfit.backbones.engines.engine import OpenVINOEngine, open_engine
from headfit.backbones.engines.interface import probe_images
from headfit.backbones.graphs import tuning
from headfit.backbones.graphs.compiled import DEFAULT, Setting, compile_graph, stream
from headfit.backbones.graphs.graph import backbone_graph

SPEC = find("MobileNet")
CONTRACT = SPEC.contract(32)
BATCHED = Setting("THROUGHPUT", tuning.BATCH)


@pytest.fixture(scope="module")
def graph():
    return backbone_graph(SPEC, CONTRACT, "random", "jax", lambda _: None)


@pytest.fixture
def trials(graph, monkeypatch):
    """Let every trial end at once, for the default; the graphs that were tried."""
    best, tried = tuning.Contestant(compile_graph(graph.path)), []
    monkeypatch.setattr(tuning, "_try", lambda path, _=None: tried.append(path) or (best, {}))
    return tried


@pytest.fixture
def home(graph, tmp_path, monkeypatch):
    """A home without trials; the graph stays where it is."""
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path))
    return tmp_path


class Racer:
    """Takes part without running anything: its seconds are written down beforehand."""

    def __init__(self, name, *seconds):
        self.setting, self.seconds = name, list(seconds)


def run(engine, images):
    found = dict(engine.run((i, image[None]) for i, image in enumerate(images)))
    assert sorted(found) == list(range(len(images)))
    return np.concatenate([found[i] for i in range(len(images))])


@pytest.mark.parametrize(
    ("challengers", "winner"),
    [
        ({"a": (1.0, 1.0, 1.0)}, "default"),
        ({"a": (0.97, 0.96, 0.97)}, "default"),  # faster, but not clearly
        ({"a": (0.9, 0.9, 0.9)}, "a"),
        ({"a": (0.9, 0.9, 0.9), "b": (0.5, 0.5, 0.5)}, "b"),
        ({"a": (0.1, 1.1, 1.1)}, "default"),  # one lucky round
        ({}, "default"),
    ],
)
def test_the_default_wins_unless_another_is_clearly_faster(challengers, winner):
    running = [Racer("default", 1.0, 1.0, 1.0), *(Racer(n, *s) for n, s in challengers.items())]
    assert tuning._winner(running).setting == winner


def test_rounds_are_compared_in_pairs():
    # the machine was busy in the second half: the medians alone would say nothing
    running = [Racer("default", 1.0, 1.0, 10.0, 10.0), Racer("a", 0.9, 0.9, 9.0, 9.0)]
    assert tuning._winner(running).setting == "a"


def test_a_race_is_over_when_it_is_clear():
    assert tuning._clear(
        [Racer("default", 1, 1, 1), Racer("a", 2, 2, 2), Racer("b", 0.5, 0.5, 0.5)]
    )
    assert not tuning._clear([Racer("default", 1, 1, 1), Racer("a", 2, 2, 0.99)])


def test_the_outcome_is_remembered(graph, home, monkeypatch):
    setting, _ = tuning.tuned(graph.path)
    (record,) = (home / "trials" / "v1").iterdir()
    known = json.loads(record.read_text())["data"]
    assert known["machine"] == tuning.machine()
    assert known["setting"] == setting.to_dict()
    assert known["images_per_second"]["THROUGHPUT/1"] > 1
    monkeypatch.setattr(tuning, "_try", lambda *_: pytest.fail("tried again"))
    assert tuning.tuned(graph.path)[0] == setting


@pytest.mark.parametrize("setting", [DEFAULT, *tuning.CHALLENGERS], ids=str)
def test_whatever_is_remembered_is_what_runs(graph, home, monkeypatch, setting):
    monkeypatch.setattr(tuning, "_remembered", lambda *_: setting)
    chosen, compiled = tuning.tuned(graph.path)
    assert chosen == setting
    assert compiled.input(0).shape[0] == setting.batch


@pytest.mark.parametrize(
    "change",
    [
        lambda _: "",
        lambda _: "null",
        lambda _: '{"setting": 3}',
        lambda text: text.replace('"THROUGHPUT"', '"FASTEST"'),
        lambda text: text.replace('"openvino": "', '"openvino": "1'),
        lambda text: text.replace('"graph": "', '"graph": "0'),
        lambda text: text.replace('"format": 1', '"format": 0'),
        lambda text: text[: len(text) // 2],
    ],
    ids=["empty", "null", "number", "unknown", "version", "graph", "format", "torn"],
)
def test_a_damaged_or_stale_outcome_is_tried_anew(graph, home, trials, change):
    tuning.tuned(graph.path)
    (record,) = (home / "trials" / "v1").iterdir()
    record.write_text(change(record.read_text()))
    tuning.tuned(graph.path)
    tuning.tuned(graph.path)  # and that is remembered in turn
    assert trials == [graph.path] * 2


@pytest.mark.parametrize(
    ("name", "value"), [("cores", 999), ("openvino", "0.1"), ("cpu", "another")]
)
def test_another_machine_has_a_trial_of_its_own(graph, home, trials, monkeypatch, name, value):
    tuning.tuned(graph.path)
    elsewhere = {**tuning.machine(), name: value}
    monkeypatch.setattr(tuning, "machine", lambda: elsewhere)
    tuning.tuned(graph.path)
    assert len(trials) == len(list((home / "trials" / "v1").iterdir())) == 2


def test_what_gives_other_bits_takes_no_part_however_fast(graph, home, monkeypatch):
    compile_right = tuning.compile_graph

    class Rounded:
        """A graph that is right but for the last bit."""

        def __init__(self, compiled):
            self.compiled = compiled

    def compile_wrong(path, setting=DEFAULT):
        compiled = compile_right(path, setting)
        return compiled if setting == DEFAULT else Rounded(compiled)

    def nudged(compiled, batches):
        if not isinstance(compiled, Rounded):
            yield from stream(compiled, batches)
            return
        for tag, maps in stream(compiled.compiled, batches):
            yield tag, np.nextafter(maps, np.float32(np.inf))

    monkeypatch.setattr(tuning, "compile_graph", compile_wrong)
    monkeypatch.setattr(tuning, "stream", nudged)
    best, measured = tuning._try(graph.path)
    assert best.setting == DEFAULT
    assert measured["other_bits"] == [str(setting) for setting in tuning.CHALLENGERS]


def test_a_slow_network_is_not_tried(graph, home, monkeypatch):
    monkeypatch.setattr(tuning, "SECONDS", 0.0)
    best, measured = tuning._try(graph.path)
    assert (best.setting, measured["images_per_second"]) == (DEFAULT, {})


@pytest.mark.parametrize("count", [1, 3, 4, 11])
def test_batches_and_single_images_give_the_same_bits_in_order(graph, count):
    info = engines.EngineInfo.from_dict({"name": "openvino", **graph.facts})
    images = probe_images(32, 32, count)
    expected = run(OpenVINOEngine(graph.path, info), images)
    engine = OpenVINOEngine(graph.path, info, BATCHED)
    assert np.array_equal(run(engine, images), expected)
    assert [tag for tag, _ in engine.run((i, im[None]) for i, im in enumerate(images))] == list(
        range(count)
    )
    assert engine.info.setting == {"hint": "THROUGHPUT", "batch": 4}


def test_a_batch_survives_a_reader_that_stops_or_fails(graph):
    info = engines.EngineInfo.from_dict({"name": "openvino", **graph.facts})
    engine, images = OpenVINOEngine(graph.path, info, BATCHED), probe_images(32, 32, 30)
    running = engine.run((i, image[None]) for i, image in enumerate(images))
    next(running)
    running.close()

    def fails():
        yield from ((i, image[None]) for i, image in enumerate(images[:9]))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(engine.run(fails()))
    assert len(run(engine, images)) == 30


def test_an_only_image_does_not_wait_for_a_batch(graph):
    info = engines.EngineInfo.from_dict({"name": "openvino", **graph.facts})
    engine = OpenVINOEngine(graph.path, info, BATCHED)
    batched = engine._compiled
    engine._compiled = SimpleNamespace(
        get_property=batched.get_property,
        create_infer_request=lambda: pytest.fail("a batch was run"),
    )
    assert run(engine, probe_images(32, 32, 1)).shape == (1, 1, 1, 1024)


def test_an_engine_says_how_it_runs(graph):
    engine = open_engine(SPEC, CONTRACT, "random", engine="openvino")
    assert engine.info.setting in [s.to_dict() for s in (DEFAULT, *tuning.CHALLENGERS)]
    assert (engine.info.device, engine.info.precision) == ("cpu", "float32")


def test_a_compiled_graph_takes_the_batch_it_was_compiled_for(graph):
    for setting in tuning.CHALLENGERS:
        assert compile_graph(graph.path, setting).input(0).shape[0] == setting.batch
