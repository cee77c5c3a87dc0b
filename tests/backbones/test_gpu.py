"""Finding a graphics processor; there is none here, so frameworks are stand-ins that answer."""

from __future__ import annotations

from types import SimpleNamespace as Plain

import pytest

from headfit.backbones.catalog import find
from headfit.backbones.engines import engine as engines
from headfit.backbones.engines import gpu
from headfit.util import child


def jax(backend):
    return Plain(
        default_backend=lambda: backend, devices=lambda: [Plain(device_kind=f"a {backend}")]
    )


def tensorflow(*devices):
    found = [Plain(name=name) for name in devices]
    return Plain(config=Plain(list_physical_devices=lambda kind: found if kind == "GPU" else []))


def torch(available):
    return Plain(cuda=Plain(is_available=lambda: available, get_device_name=lambda _: "a card"))


@pytest.mark.parametrize(
    ("backend", "module", "device"),
    [
        ("jax", jax("cpu"), ""),
        ("jax", jax("gpu"), "a gpu"),
        ("jax", jax("cuda"), "a cuda"),
        ("jax", jax("rocm"), "a rocm"),
        ("tensorflow", tensorflow(), ""),
        ("tensorflow", tensorflow("/physical_device:GPU:0"), "/physical_device:GPU:0"),
        ("torch", torch(False), ""),
        ("torch", torch(True), "a card"),
    ],
)
def test_the_framework_is_asked_for_its_device(backend, module, device):
    loaded = []
    assert gpu.usable_device(backend, lambda name: loaded.append(name) or module) == device
    assert loaded == [backend]


def test_a_backend_without_graphics_processors_is_not_even_imported():
    assert gpu.usable_device("openvino", lambda _: pytest.fail("imported")) == ""


@pytest.mark.parametrize("node", ["nvidia0", "nvidia12", "kfd", "dxg"])
def test_devices_are_seen_by_their_nodes(tmp_path, node):
    for name in ("null", "nvidiactl", "dri", node):
        (tmp_path / name).touch()
    assert gpu.device_nodes(tmp_path) == [tmp_path / node]


def test_without_a_node_nothing_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "start", lambda *_, **__: pytest.fail("asked"))
    assert gpu.find_gpu("jax", lambda _: pytest.fail("told"), tmp_path) == ""


@pytest.mark.slow
def test_a_device_that_the_real_jax_cannot_use_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    (tmp_path / "nvidia0").touch()
    told = []
    assert gpu.find_gpu("jax", told.append, tmp_path) == ""
    assert len(told) == 1
    assert "Keras' backend jax cannot use the graphics processor" in told[0]


def test_a_backend_that_is_absent_is_said(tmp_path):
    (tmp_path / "kfd").touch()
    told = []
    assert gpu.find_gpu("torch_that_is_absent", told.append, tmp_path) == ""
    assert f"torch_that_is_absent cannot use the graphics processor {tmp_path / 'kfd'}" in told[0]


@pytest.mark.slow
def test_auto_takes_keras_where_it_has_a_device(monkeypatch):
    monkeypatch.setattr(engines, "find_gpu", lambda *_: "a card")
    told = []
    spec = find("MobileNet")
    engine = engines.open_engine(spec, spec.contract(32), "random", tell=told.append)
    assert told == [engine.info.note] and "runs MobileNet on a card." in told[0]
    assert (engine.info.name, engine.info.device) == ("keras", "a card")
    assert engine.info.setting["batch"] == 64
    insists = engines.open_engine(spec, spec.contract(32), "random", engine="openvino")
    assert insists.info.name == "openvino"


def test_float32_is_not_rounded_on_the_way():
    said = []
    config = Plain(update=lambda *pair: said.append(pair))
    gpu.insist_on_float32("jax", lambda _: Plain(config=config))
    assert said == [("jax_default_matmul_precision", "highest")]
    switch = Plain(enable_tensor_float_32_execution=said.append)
    gpu.insist_on_float32("tensorflow", lambda _: Plain(config=Plain(experimental=switch)))
    assert said[1:] == [False]
    backends = Plain(cuda=Plain(matmul=Plain(allow_tf32=True)), cudnn=Plain(allow_tf32=True))
    gpu.insist_on_float32("torch", lambda _: Plain(backends=backends))
    assert not backends.cuda.matmul.allow_tf32 and not backends.cudnn.allow_tf32
