"""Own models cut before their heads: against Keras' own output of the layer before the pooling."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

import own_models as models
from headfit.backbones.build import build
from headfit.backbones.catalog import find, find_all
from headfit.backbones.construction import no_drawing
from headfit.backbones.custom import function as own_function
from headfit.backbones.custom.describe_child import describe_function, describe_place
from headfit.backbones.custom.model import opened
from headfit.backbones.custom.spec import FunctionRequest, PlaceRequest
from headfit.backbones.cut import build_cut
from headfit.backbones.engines.engine import open_engine
from headfit.backbones.graphs.boundary import find_boundary, special_tokens
from headfit.backbones.graphs.replay import replay
from headfit.backbones.graphs.trace import trace
from headfit.backbones.spec import CAFFE, IDENTITY, TF, TORCH, BackboneSpec
from headfit.backbones.weights import check_weights, weights_identity
from headfit.errors import EngineError, HeadfitError, ModelFileError, UsageError
from headfit.model.assemble_child import write_model
from headfit.model.assembly import Assembly
from own_models import SIDE

PIXELS = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.uint8)


@pytest.fixture(autouse=True)
def nothing_is_drawn():
    """JAX compiles a drawing for each shape of kernel, and each is overwritten."""
    with no_drawing():
        yield


def save(model: keras.Model, folder, suffix="keras"):
    path = folder / f"mine.{suffix}"
    model.save(path)
    return path


def up_to(model: keras.Model, layer: str, x: np.ndarray = PIXELS) -> np.ndarray:
    """What Keras gives at a layer."""
    part = keras.Model(model.input, model.get_layer(layer).output)
    return np.asarray(part(x.astype("float32"), training=False))


def assert_close(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def map_of(place, size: int = SIDE) -> np.ndarray:
    model = opened(str(place), size).at(size)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    return np.asarray(model(PIXELS.astype("float32"), training=False))


def test_what_numpy_fills_is_what_keras_would():
    for kind, value in (("zeros", 0), ("ones", 1)):
        filled = keras.ops.convert_to_tensor(keras.initializers.get(kind)((2, 3), dtype="float32"))
        assert keras.backend.standardize_dtype(filled.dtype) == "float32"
        np.testing.assert_array_equal(filled, np.full((2, 3), value))
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    initializer = model.get_config()["layers"][1]["config"]["bias_initializer"]
    assert (initializer["module"], initializer["class_name"]) == ("keras.initializers", "Zeros")


# where the map ends


@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("build_one", [models.functional, models.open_size])
def test_the_layer_before_the_pooling_is_the_map(build_one, suffix, tmp_path):
    model = build_one()
    expected = up_to(model, "conv_b")
    assert_close(map_of(save(model, tmp_path, suffix)), expected)


def test_nested_models_dissolve_and_cuts_reach_into_them(tmp_path):
    model = models.nested()
    path = save(model, tmp_path)
    scaled = PIXELS / 127.5 - 1
    expected = {name: up_to(model.layers[2], name, scaled) for name in ("norm", "conv_b")}
    assert_close(map_of(path), expected["conv_b"])
    facts = describe_place(PlaceRequest(str(path)))
    assert (facts["scaled_by"], facts["map_shape"]) == (["scale"], [4, 4, 6])
    found = build_cut(_spec(path), SIDE, "imagenet", ["norm", ""])
    both = found.predict(PIXELS.astype("float32"), verbose=0)
    for maps, layer in zip(both, ("norm", "conv_b"), strict=True):
        assert_close(maps, expected[layer])
    with pytest.raises(UsageError, match=r"cut='nrom'\. There is no such layer.*norm, conv_b"):
        build_cut(_spec(path), SIDE, "imagenet", ["nrom"])


def test_preprocess_input_within_the_model_is_scaling(tmp_path):
    for number, application in enumerate(("vgg16", "mobilenet_v2", "densenet")):
        image = keras.Input((SIDE, SIDE, 3))
        scaled = getattr(keras.applications, application).preprocess_input(image)
        path = tmp_path / f"{number}.keras"
        keras.Model(image, models.top(models.net()(scaled))).save(path)
        assert describe_place(PlaceRequest(str(path)))["scaled_by"], application


def test_a_subclassed_model_is_refused_for_what_it_is(tmp_path, monkeypatch):
    (tmp_path / "subclassed.py").write_text(
        "import keras\n"
        "class Net(keras.Model):\n"
        "    def call(self, x):\n        return x\n"
        "def build():\n    return Net()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelFileError, match="its class Net hides its layers"):
        opened("subclassed:build")


def _spec(path):
    """What find gives, without a child process."""
    return BackboneSpec("mine", IDENTITY, SIDE, 8, channels_first=False, place=str(path))


def test_layers_of_the_same_name_in_two_nested_models_both_stay(tmp_path):
    model = models.nested_twice()
    path = save(model, tmp_path)
    second = model.get_layer("second")
    expected = up_to(second, "relu", up_to(model.get_layer("net"), "conv_b"))
    assert_close(map_of(path), expected)
    found = build_cut(_spec(path), SIDE, "imagenet", ["second_conv_a"])
    inner = up_to(second, "conv_a", up_to(model.get_layer("net"), "conv_b"))
    assert_close(found.predict(PIXELS.astype("float32"), verbose=0), inner)


@pytest.mark.parametrize("build_one", [models.flattened, models.mixed])
def test_the_map_is_float32_and_ends_before_flatten(build_one, tmp_path):
    found = map_of(save(build_one(), tmp_path))
    assert found.dtype == np.float32
    assert_close(found, up_to(models.net(), "conv_b"))


def test_a_model_that_headfit_wrote_is_a_backbone_again(tmp_path):
    path, written = save(models.functional(), tmp_path), tmp_path / "model.keras"
    spec, shapes = _spec(path), {"kernel": (6, 3), "bias": 3}
    np.savez(
        tmp_path / "head.npz", **{f"head_softmax/{name}": np.zeros(s) for name, s in shapes.items()}
    )
    request = Assembly(
        backbone=spec.place,
        weights="imagenet",
        contract=replace(spec, preprocessing=TORCH).contract().to_dict(),
        head="gap",
        shape=None,
        scale=1.0,
        classes=3,
        head_weights=str(tmp_path / "head.npz"),
        path=str(written),
    )
    write_model(request)
    facts = describe_place(PlaceRequest(str(written)))
    assert (facts["scaled_by"], facts["size"]) == (["preprocessing"], SIDE)
    scaled = PIXELS * np.float32(TORCH.scale) + np.float32(TORCH.offset)
    assert_close(map_of(written), up_to(models.net(), "conv_b", scaled))


# tokens


def laid_out(tokens: np.ndarray, special: int = 0) -> np.ndarray:
    """Rows of a square, one by one."""
    side = int(np.sqrt(tokens.shape[1] - special))
    rows = [tokens[:, special + side * row : special + side * (row + 1)] for row in range(side)]
    return np.stack(rows, axis=1)


@pytest.mark.parametrize(
    ("build_one", "special"),
    [(models.tokens, 0), (models.class_token, 1), (lambda: models.class_token(2), 2)],
)
def test_tokens_become_a_map_without_those_of_the_class(build_one, special, tmp_path):
    model = build_one()
    found = map_of(save(model, tmp_path))
    assert_close(found, laid_out(up_to(model, "end"), special))
    assert found.shape[1:] == (4, 4, 8)


def test_registers_are_left_out_where_their_number_is_known():
    model = models.class_token(5)
    traced = trace(model, (SIDE, SIDE, 3))
    assert special_tokens(16 + 5) is None
    model.get_layer("class_token").num_register_tokens = 4
    assert (find_boundary(traced).special, find_boundary(traced).map_shape) == (5, (4, 4, 8))


@pytest.mark.parametrize(
    ("length", "special"),
    [(196, 0), (197, 1), (198, 2), (199, None), (50, 1), (49, 0), (4, 0), (3, None), (1, None)],
)
def test_how_many_tokens_stand_before_the_grid(length, special):
    assert special_tokens(length) == special


def test_rows_for_a_recurrent_layer_are_no_tokens(tmp_path):
    found = find_boundary(trace(models.rows(), (SIDE, SIDE, 3)))
    assert (found.tokens, found.map_shape) == (False, (4, 4, 6))


# sizes


def test_a_fixed_size_gives_way_where_the_layers_allow_it(tmp_path):
    path = save(models.functional(), tmp_path)
    facts = describe_place(PlaceRequest(str(path)))
    assert (facts["size"], facts["bound_to"]) == (SIDE, "")
    model = opened(str(path), 32).at(32)
    pixels = np.random.default_rng(1).uniform(0, 1, (2, 32, 32, 3)).astype("float32")
    expected = np.asarray(models.net(32)(pixels, training=False))
    assert_close(np.asarray(model(pixels, training=False)), expected)


def test_a_model_of_one_size_says_which_layer_binds_it(tmp_path):
    path = save(models.positions(), tmp_path)
    facts = describe_place(PlaceRequest(str(path)))
    assert "layer 'reshape" in facts["bound_to"]
    spec = replace(_spec(path), bound_to=facts["bound_to"])
    assert spec.contract().height == SIDE
    with pytest.raises(UsageError, match=rf"`size` must be {SIDE} for mine, which takes no other"):
        spec.contract(32)
    with pytest.raises(UsageError, match=r"`size` must be one that .*size=32. Leave `size` out"):
        build(spec, 32, "imagenet")


# what cannot be a backbone


@pytest.mark.parametrize(
    ("build_one", "message"),
    [
        (models.vectors, r"no feature map \(batch, height, width, channels\), only vectors"),
        (models.two_maps, "2 feature maps before its head"),
        (models.two_images, r"it takes \(16, 16, 3\), \(16, 16, 3\); expected one square RGB"),
        (models.oblong, r"it takes \(16, 32, 3\)"),
        (models.grey, r"it takes \(16, 16, 1\)"),
        (lambda: models.class_token(3), "its 19 tokens are no square of positions, with up to 2"),
    ],
)
def test_what_cannot_be_a_backbone_is_refused_by_name(build_one, message, tmp_path):
    path = save(build_one(), tmp_path)
    with pytest.raises(ModelFileError, match=message) as caught:
        opened(str(path))
    assert str(path) in str(caught.value)


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "junk.keras").write_bytes(b"junk")
    with pytest.raises(ModelFileError, match=r"'.*junk\.keras' is neither a zip archive nor HDF5"):
        opened(str(tmp_path / "junk.keras"))
    for text, message in [
        (str(tmp_path / "absent.h5"), "There is no such file"),
        ("no function:here", "`backbone` must be module:function, such as"),
        ("hub:", "needs KerasHub|cannot load the preset"),
    ]:
        with pytest.raises(HeadfitError, match=message):
            find(text)


def test_weights_and_preprocessing_are_those_of_the_model(tmp_path):
    spec = replace(_spec(tmp_path / "mine.keras"), digest="d")
    with pytest.raises(UsageError, match=r"`weights` does not apply to .*a custom backbone"):
        check_weights("random", spec)
    with pytest.raises(UsageError, match="`weights` does not apply to"):
        build(spec, SIDE, "random")
    assert weights_identity(spec, "imagenet") != weights_identity(
        replace(spec, digest="e"), "imagenet"
    )
    with pytest.raises(UsageError, match="`preprocessing` applies to custom backbones only: VGG16"):
        find("vgg16", "tf")
    with pytest.raises(UsageError, match="`preprocessing` must be one of none, tf, caffe, torch"):
        find("models:build", "tff")
    assert [each and each.name for each in find_all(["vgg16", "MobileNet"])] == [
        "VGG16",
        "MobileNet",
    ]


def test_layers_that_a_file_cannot_bring_back_are_named(tmp_path):
    found = describe_place(PlaceRequest(str(save(models.class_token(), tmp_path))))
    assert found["unloadable"] == ["ClassToken"]
    assert describe_place(PlaceRequest(str(save(models.nested(), tmp_path))))["unloadable"] == []


def test_a_layer_that_cannot_read_its_own_configuration_is_taken_itself():
    model = models.careless()
    traced = trace(model, (SIDE, SIDE, 3))
    end = find_boundary(traced)
    for _ in range(2):  # as if it had never been called
        again = replay(traced, end, SIDE, name="again")
        cut = keras.Model(again.input, again.get_layer("careless").output)
    assert_close(np.asarray(cut(PIXELS.astype("float32"))), up_to(models.net(), "conv_a"))
    assert_close(np.asarray(again(PIXELS.astype("float32"))), up_to(models.careless(), "conv_b"))


# functions

CODE = """
import keras
from keras import layers

def unseeded():
    first = layers.Conv2D(4, 3, activation="relu")
    return keras.Sequential([keras.Input((16, 16, 3)), first, layers.GlobalMaxPooling2D()])

def sized(input_shape=(24, 24, 3)):
    image = keras.Input(input_shape)
    return keras.Model(image, layers.Conv2D(4, 3, activation="relu")(image))

def broken():
    raise ValueError("no such\\nweights")

def wanting(classes):
    return None

def text():
    return "model"
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A module here, under a name of its own."""
    name = f"mine_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return name


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (
            "broken",
            EngineError,
            r"broken failed \(mine_.*\.py, line \d+\): ValueError: no such",
        ),
        ("wanting", UsageError, "needs the argument 'classes'"),
        ("text", UsageError, r"returns a builtins\.str; expected a keras\.Model"),
        ("absent", UsageError, "'absent' of 'mine_.*' does not exist"),
        ("layers", UsageError, "'layers' of 'mine_.*' is not a function"),
    ],
)
def test_mistakes_of_a_function_are_told_in_one_line(function, kind, message, code):
    with pytest.raises(kind, match=message) as caught:
        opened(f"{code}:{function}")
    assert "\n" not in str(caught.value)
    assert f"{code}:{function}" in str(caught.value)


def test_a_module_that_is_not_there_is_told():
    with pytest.raises(UsageError, match="there is no module 'not_here' in"):
        opened("not_here:build")


def test_a_function_may_take_the_size(code):
    facts = describe_function(FunctionRequest(f"{code}:sized"))
    assert (facts["size"], facts["bound_to"], facts["map_shape"]) == (24, "", [22, 22, 4])
    assert own_function.takes_size(f"{code}:sized")
    spec = find(f"{code}:sized@{facts['digest']}", "caffe")
    assert (spec.name, spec.preprocessing, spec.argument) == ("sized", CAFFE, f"{code}:sized")
    smaller, own = (build(spec, size, "imagenet") for size in (20, 24))
    assert smaller.output_shape == (None, 18, 18, 4)
    for one, other in zip(smaller.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_weights_that_a_function_gave_first_are_those_of_the_whole_run(code):
    first = find(f"{code}:unseeded")  # in a child process, as a run does
    assert first.reference == f"{code}:unseeded@{first.digest}"
    assert "does not scale pixels" in first.notes[0]
    again = find(first.reference, "tf")
    assert (again.digest, again.preprocessing, again.notes) == (first.digest, TF, ())
    one, other = (build(spec, SIDE, "imagenet").get_weights() for spec in (first, again))
    np.testing.assert_array_equal(one[0], other[0])
    assert np.ptp(one[0]) > 0
    # with other weights (zeros, in this process) it is another backbone
    assert describe_function(FunctionRequest(f"{code}:unseeded"))["digest"] != first.digest


# channels first


def test_a_model_of_known_layers_turns_and_stays_the_same(tmp_path):
    path = save(models.squeezed(), tmp_path)
    assert describe_place(PlaceRequest(str(path)))["channels_first"]
    last, first = (build(_spec(path), SIDE, "imagenet", channels_first=f) for f in (False, True))
    for one, other in zip(last.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.input_shape == (None, 3, SIDE, SIDE)
    pixels = PIXELS.astype("float32")
    found = np.asarray(first(pixels.transpose(0, 3, 1, 2), training=False))
    assert_close(found.transpose(0, 2, 3, 1), np.asarray(last(pixels, training=False)))


@pytest.mark.parametrize("build_one", [models.tokens, models.positions, models.normed])
def test_a_model_with_other_layers_is_not_turned(build_one, tmp_path):
    assert not describe_place(PlaceRequest(str(save(build_one(), tmp_path))))["channels_first"]


# the whole way


def test_a_file_runs_on_the_fast_engine_as_keras_runs_it(tmp_path):
    model = models.nested()
    spec = find(str(save(model, tmp_path)))
    assert (spec.name, spec.size, spec.preprocessing, spec.notes) == ("mine", SIDE, IDENTITY, ())
    told: list[str] = []
    by_reference = replace(spec, name=spec.reference)
    engine = open_engine(by_reference, spec.contract(), "imagenet", tell=told.append)
    assert (engine.info.name, engine.info.map_shape) == ("openvino", (4, 4, 6)), told
    maps = [found for _, found in engine.run([(i, PIXELS[i : i + 1]) for i in range(3)])]
    assert_close(np.concatenate(maps), up_to(model.layers[2], "conv_b", PIXELS / 127.5 - 1))
