from __future__ import annotations

import csv
from pathlib import Path

import pytest

from headfit.backbones.catalog import find
from headfit.backbones.weights import check_weights, packaged_weights, weights_identity
from headfit.errors import UsageError
from headfit.util import child
from jobs_child import FunctionCall

TESTS = Path(__file__).parents[1]
MOBILENET = TESTS.parents[1] / "shared" / "weights" / "mobilenet_1_0_224_no_top.weights.h5"


@pytest.fixture(autouse=True)
def children_find_their_functions(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def in_child(function, backend="openvino", **request):
    return child.call(FunctionCall(f"in_child:{function}", request), backend=backend)


def assert_short_line(message):
    assert "\n" not in message
    assert len(message) < 500


@pytest.mark.slow
def test_parameters_and_map_shapes_are_the_golden_ones():
    with (TESTS / "data" / "parameters.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    models, expected = [], []
    for row in rows:
        size, shape = int(row["input_size"]), [int(row[k]) for k in ("map_h", "map_w", "channels")]
        models.append((row["backbone"], size, False))
        expected.append([int(row["params_no_top"]), shape])
        if row["params_with_top"]:
            models.append((row["backbone"], size, True))
            expected.append([int(row["params_with_top"]), [1000]])
    found = in_child("sizes", models=models)["sizes"]
    assert dict(zip(models, found, strict=True)) == dict(zip(models, expected, strict=True))


@pytest.mark.slow
def test_random_weights_are_the_same_on_every_keras_backend():
    models = [["MobileNet", 64], ["MobileNetV3Small", 64]]
    jax, openvino = (in_child("random_digests", b, models=models) for b in ("jax", "openvino"))
    assert (jax["backend"], openvino["backend"]) == ("jax", "openvino")
    assert jax["digests"] == openvino["digests"]
    assert len(set(jax["digests"])) == 2


@pytest.mark.slow
def test_weights_saved_in_any_format_load_again(tmp_path):
    # of all families this one has the oddest weights: statistics of its inputs, a count
    result = in_child("save_every_way", name="EfficientNetB0", size=64, folder=str(tmp_path))
    assert result["found"] == dict.fromkeys(result["found"], result["expected"])
    assert len(result["found"]) == 4
    assert result["outputs"] == pytest.approx([result["outputs"][0]] * 5, rel=1e-6)


@pytest.mark.slow
def test_the_real_mobilenet_weights_load():
    if not MOBILENET.exists():
        pytest.skip(f"no {MOBILENET.name} beside this repository")
    cases = [["MobileNet", 224, str(MOBILENET)], ["MobileNetV2", 224, str(MOBILENET)]]
    fits, other = in_child("refusals", cases=cases)["messages"]
    assert fits == ""
    assert "does not fit MobileNetV2" in other


@pytest.mark.slow
def test_a_file_that_does_not_fit_is_refused_in_one_short_line(tmp_path):
    other, junk, hollow = (tmp_path / n for n in ("o.weights.h5", "junk.h5", "hollow.pth"))
    in_child("save_random", name="MobileNetV2", size=64, path=str(other))
    renamed = tmp_path / "renamed.h5"
    renamed.write_bytes(other.read_bytes())
    junk.write_bytes(b"junk" * 100)
    (tmp_path / "junk.keras").write_bytes(b"junk" * 100)
    lite0 = str(packaged_weights(find("efficientnet_lite0")))
    cases = [
        ["MobileNet", str(other)],
        ["efficientnet_lite0", str(other)],
        ["MobileNetV2", str(renamed)],  # Keras goes by the suffix
        ["MobileNet", str(junk)],
        ["MobileNet", str(tmp_path / "junk.keras")],
        ["MobileNet", lite0],
        ["efficientnet_lite1", lite0],
        ["efficientnet_lite2", lite0],
        ["efficientnet_lite0", str(hollow)],
    ]
    messages = in_child("refusals", cases=[[name, 64, file] for name, file in cases])["messages"]
    for (name, file), message in zip(cases, messages, strict=True):
        assert file in message, (name, file)
        assert_short_line(message)
        if Path(file) != hollow:
            assert f"does not fit {name}" in message


@pytest.mark.slow
def test_weights_that_cannot_be_downloaded_say_what_to_do(tmp_path, monkeypatch):
    # a proxy that refuses: offline, wherever this runs
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    cases = [["MobileNet", 224, "imagenet"], ["NASNetMobile", 224, "imagenet"]]
    mobilenet, nasnet = in_child("refusals", cases=cases)["messages"]
    url = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet/"
    assert f"{url}mobilenet_1_0_224_tf_no_top.h5" in mobilenet
    assert str(tmp_path / "models" / "mobilenet_1_0_224_tf_no_top.h5") in mobilenet
    assert str(tmp_path / "models" / "nasnet_mobile_no_top.h5") in nasnet
    for message in (mobilenet, nasnet):
        assert "`weights`" in message
        assert_short_line(message)


def test_the_weights_option_is_checked_before_any_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("w.h5").write_bytes(b"1")
    Path("w.pt").write_bytes(b"1")
    assert check_weights("imagenet") == "imagenet"
    assert check_weights("w.h5") == str(tmp_path / "w.h5")
    with pytest.raises(UsageError, match="must be 'imagenet', 'random' or an existing file"):
        check_weights("imagenett")
    with pytest.raises(UsageError, match=r"must be a file that ends in \.h5, \.keras, \.pth"):
        check_weights("w.pt")


def test_other_weights_have_another_identity(tmp_path):
    lite0, mobilenet, vgg = find("efficientnet_lite0"), find("MobileNet"), find("VGG16")
    (tmp_path / "a.h5").write_bytes(b"1")
    (tmp_path / "b.h5").write_bytes(b"2")
    cases = [(lite0, "imagenet"), (mobilenet, "imagenet"), (vgg, "imagenet"), (vgg, "random")]
    cases += [(vgg, str(tmp_path / "a.h5")), (vgg, str(tmp_path / "b.h5"))]
    assert len({weights_identity(*case) for case in cases}) == len(cases)
    (tmp_path / "b.h5").write_bytes(b"1")  # a file is what it holds, not what it is called
    assert weights_identity(*cases[-1]) == weights_identity(*cases[-2])
