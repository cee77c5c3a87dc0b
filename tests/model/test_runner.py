"""A network runs on OpenVINO if its outputs are right there, else on Keras, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import classifiers
from headfit.backbones.engines.interface import probe_images
from headfit.errors import EngineError, ModelFileError
from headfit.images.contract import Contract
from headfit.model.runner import PREDICTIONS, Runner, check_outputs, keras_network, saved_graph

SIDE = classifiers.SIDE
CONTRACT = Contract(SIDE, SIDE, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
IMAGES = probe_images(SIDE, SIDE)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return classifiers.random_classifier("gap", tmp_path_factory.mktemp("model") / "model.keras")


def runner(model: Path, messages: list[str], **options: Any) -> Runner:
    def graph() -> Path:
        return saved_graph(model, CONTRACT, PREDICTIONS, messages.append).path

    def keras() -> Any:
        return keras_network(model).model

    return Runner(CONTRACT, graph, keras, **{"tell": messages.append, **options})


def test_openvino_runs_a_graph_that_agrees(model: Path) -> None:
    messages: list[str] = []
    fast = runner(model, messages)
    assert fast.info.name == "openvino"
    tagged = dict(fast.run((name, image[None]) for name, image in zip("ab", IMAGES, strict=True)))
    np.testing.assert_array_equal(np.concatenate([tagged["a"], tagged["b"]]), fast.probes)
    np.testing.assert_allclose(fast.predict(IMAGES / 1.0), fast.probes, atol=1e-4)
    assert not any("Keras runs it" in each for each in messages)


def test_keras_runs_a_network_whose_graph_disagrees_and_says_so(model: Path) -> None:
    messages: list[str] = []
    checked: list[int] = []

    def check(_: np.ndarray) -> None:
        checked.append(1)
        if len(checked) == 1:
            raise EngineError("its probabilities differ")

    slow = runner(model, messages, check=check)
    assert slow.info.name == "keras"
    assert "(its probabilities differ); Keras runs it, slower" in messages[-1]
    np.testing.assert_allclose(slow.predict(IMAGES), runner(model, []).probes, atol=1e-4)


def test_a_network_that_disagrees_everywhere_does_not_run(model: Path) -> None:
    wrong, spread = np.full((2, 3), 1 / 3), np.ones(3)
    with pytest.raises(EngineError, match="from those stored in the file"):
        runner(model, [], check=lambda outputs: check_outputs(outputs, wrong, spread)).open()


def test_a_graph_alone_is_not_replaced(model: Path) -> None:
    def none() -> Path:
        raise EngineError("no graph")

    with pytest.raises(EngineError, match="no graph"):
        Runner(CONTRACT, none, None).open()


def test_a_file_that_keras_cannot_load_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.keras").write_bytes(b"PK no archive")
    with pytest.raises(ModelFileError, match=r"no\.keras' is a zip archive that was cut off"):
        keras_network(tmp_path / "no.keras")
