"""Conversion of tops: the algebra, and what the written files give."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from headfit.conversion import algebra
from headfit.conversion import networks_child as child
from headfit.conversion.algebra import Form, to_flatten, to_gap, to_low_rank, to_shared, written_out
from headfit.conversion.networks import PutTogether, RunRest, TakeApart
from headfit.conversion.record import _chain
from headfit.errors import ModelFileError, UsageError
from headfit.layers import SpatialShrinkage
from small_models import SIDE, K, backbone, save

PIXELS = {"scale": [1.0, 1.0, 1.0], "offset": [0.0, 0.0, 0.0], "bgr": False}
POSITIONS, CHANNELS = 16, 6  # of the small backbone
SHAPES = [(4, 6, 3), (9, 4, 5), (1, 5, 2)]  # P, C, K


def drawn(shape: tuple[int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights (P, C, K), a bias (K,) and 7 maps (7, P, C)."""
    rng = np.random.default_rng([seed, *shape])
    sizes = shape, shape[2:], (7, *shape[:2])
    w, bias, maps = (rng.normal(0.5, 1, size).astype(np.float32) for size in sizes)
    return w, bias, maps


def close(a: Any, b: Any, tolerance: float = 1e-5) -> bool:
    return float(np.abs(np.asarray(a) - np.asarray(b)).max()) <= tolerance


def weights_of(form: Form) -> np.ndarray:
    """W of a low rank: what it gives for each map that holds a single 1, (PC, K)."""
    arrays = form.arrays
    positions, channels = arrays["places"].shape[2], arrays["channels"].shape[2]
    ones = np.eye(positions * channels, dtype=np.float32).reshape(-1, positions, channels)
    return form.numbers(ones) - arrays["bias"]


# the algebra


@pytest.mark.parametrize("shape", SHAPES)
def test_gap_to_flatten_changes_no_number(shape: tuple[int, int, int]) -> None:
    w, bias, maps = drawn(shape)
    kernel = w[0]
    before = Form("gap", {"kernel": kernel, "bias": bias})
    after = to_flatten(written_out("gap", kernel, shape[0]), bias)
    assert after.arrays["kernel"].shape == (shape[0] * shape[1], shape[2])
    assert close(before.numbers(maps), after.numbers(maps))


@pytest.mark.parametrize("seed", range(3))
def test_flatten_to_gap_is_the_mean_over_all_permutations_of_positions(seed: int) -> None:
    w, bias, maps = drawn((4, 6, 3), seed)
    flat = to_flatten(w, bias)
    orders = [list(order) for order in permutations(range(4))]
    mean = np.mean([flat.numbers(maps[:, order]) for order in orders], axis=0)
    assert close(to_gap(w, bias).numbers(maps), mean)


@pytest.mark.parametrize("shape", SHAPES)
def test_full_rank_is_flatten(shape: tuple[int, int, int]) -> None:
    w, bias, maps = drawn(shape)
    flat = to_flatten(w, bias).numbers(maps)
    whole = to_low_rank(w, bias, min(shape[:2]))
    assert close(whole.numbers(maps), flat) and whole.share == pytest.approx(1)
    shared = to_shared(w, bias, shape[1])
    assert close(shared.numbers(maps), flat) and shared.share == pytest.approx(1)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_each_rank_keeps_what_the_singular_values_say(shape: tuple[int, int, int]) -> None:
    w, bias, _ = drawn(shape)
    squares = np.linalg.svd(w.transpose(2, 0, 1), compute_uv=False) ** 2
    kept = []
    for rank in range(1, min(shape[:2]) + 1):
        form = to_low_rank(w, bias, rank)
        assert form.share == pytest.approx(squares[:, :rank].sum() / squares.sum())
        lost = np.square(weights_of(form) - w.reshape(-1, shape[2])).sum() / np.square(w).sum()
        assert lost == pytest.approx(1 - form.share, abs=1e-5)
        kept.append(form.share)
    assert kept == sorted(kept)
    least = to_low_rank(w, bias, None)
    assert least.rank == 1 + int(np.argmax(np.array(kept) >= algebra.ENERGY))


def test_the_shared_rank_keeps_more_the_larger_it_is() -> None:
    w, bias, _ = drawn((9, 4, 5))
    squares = np.linalg.svd(w.transpose(1, 0, 2).reshape(4, -1), compute_uv=False) ** 2
    kept = [to_shared(w, bias, rank).share for rank in range(1, 5)]
    assert kept == pytest.approx(np.cumsum(squares) / squares.sum())


def test_what_gap_keeps_is_the_share_of_the_mean_weights() -> None:
    w, bias, _ = drawn((4, 6, 3))
    lost = np.square(w - w.mean(axis=0)).sum() / np.square(w).sum()
    assert to_gap(w, bias).share == pytest.approx(1 - lost)
    assert to_gap(np.broadcast_to(w[0], w.shape), bias).share == pytest.approx(1)


@pytest.mark.parametrize("decompose", [to_low_rank, to_shared])
def test_weights_of_zero_and_ranks_that_cannot_be(decompose: Callable[..., Form]) -> None:
    w, bias, maps = drawn((4, 6, 3))
    found = decompose(np.zeros_like(w), bias, None)
    assert (found.rank, found.share) == (1, 1.0)
    assert close(found.numbers(maps), np.tile(bias, (7, 1)))
    for rank in (0, 7):
        with pytest.raises(UsageError, match=f"`rank` must be from 1 to .* Received: rank={rank}"):
            decompose(w, bias, rank)


# files


def scattered(model: keras.Model) -> keras.Model:
    """Give every variable numbers of its own; variances above 0."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        values = rng.normal(0.1, 0.3, variable.shape)
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.path else values)
    return model


def topped(*top: Any, base: keras.Model | None = None, rest: Any = None) -> keras.Model:
    image = keras.Input((SIDE, SIDE, 3))
    x = (base or backbone())(image, training=False)
    for layer in top:
        x = layer(x)
    return scattered(keras.Model(image, x if rest is None else rest(x)))


def given(model: keras.Model) -> np.ndarray:
    """What a model gives for images of growing contrast."""
    images = np.random.default_rng(1).uniform(0, 1, (5, SIDE, SIDE, 3)).astype(np.float32)
    images *= np.arange(1, 6, dtype=np.float32).reshape(-1, 1, 1, 1)
    # not predict, which would compile each of these small models
    return np.asarray(keras.ops.convert_to_numpy(model(images, training=False)))


def softmax(name: str = "last") -> Any:
    return layers.Dense(K, "softmax", name=name)


def within() -> keras.Model:
    """A backbone that pools by itself."""
    base = backbone(frozen=False)
    pooled = layers.GlobalAveragePooling2D()(base.output)
    model = keras.Model(base.input, layers.Dropout(0.1)(pooled), name="pools_itself")
    model.trainable = False
    model.get_layer("conv_b").trainable = True
    return model


def split_between_models() -> keras.Model:
    """Pooling ends one nested model, and the dense layer is in the next, as browser tools save."""
    base = [keras.Input((SIDE, SIDE, 3)), backbone(), layers.GlobalAveragePooling2D()]
    head = [keras.Input((CHANNELS,)), layers.Dense(8, "relu"), softmax()]
    parts = [keras.Sequential(base, name="first"), keras.Sequential(head, name="second")]
    return scattered(keras.Sequential([keras.Input((SIDE, SIDE, 3)), *parts]))


def flat_sequential(pool: Any) -> keras.Model:
    conv = layers.Conv2D(CHANNELS, 4, strides=4, activation="relu", name="conv")
    return scattered(keras.Sequential([keras.Input((SIDE, SIDE, 3)), conv, pool, softmax()]))


def residual(x: Any) -> Any:
    both = layers.Add()([x, layers.Dense(8, "relu")(x)])
    return softmax()(both)


gap, flat = layers.GlobalAveragePooling2D, layers.Flatten
MODELS: dict[str, Callable[[], keras.Model]] = {
    "gap": lambda: topped(gap(), layers.Dropout(0.2), softmax()),
    "squeezed": lambda: topped(gap(keepdims=True), layers.Dropout(0.2), flat(), softmax()),
    "pooled": lambda: topped(layers.AveragePooling2D(4), flat(), softmax()),
    "norm": lambda: topped(
        gap(), layers.BatchNormalization(), layers.Dense(K, use_bias=False, activation="softmax")
    ),
    "within": lambda: topped(softmax(), base=within()),
    "sequential": lambda: flat_sequential(gap()),
    "split": split_between_models,
    "reshaped": lambda: topped(
        layers.Reshape((POSITIONS * CHANNELS,)), layers.Dropout(0.2), softmax()
    ),
    "hidden": lambda: topped(flat(), layers.Dense(8, "relu"), rest=residual),
    "logits": lambda: topped(flat(), layers.Dense(K), layers.Activation("softmax")),
    "prior": lambda: topped(SpatialShrinkage(0.3, name="head_pool"), softmax("head_softmax")),
}


def taken_apart(path: Path, folder: Path) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """What is known of the top, its W and its bias."""
    folder.mkdir()
    facts = child.take_apart(TakeApart(str(path), PIXELS, str(folder), graphs=False))
    kernel, bias = (np.load(folder / f"{name}.npy") for name in ("kernel", "bias"))
    kind = "gap" if facts["pooling"] == "gap" else "flatten"
    return facts, written_out(kind, kernel, POSITIONS), bias


def put_together(path: Path, folder: Path, form: Form) -> keras.Model:
    np.savez(folder / "new.npz", **form.arrays)
    target = str(folder / "new.keras")
    weights = str(folder / "new.npz")
    child.put_together(
        PutTogether(str(path), form.kind, weights, PIXELS, str(folder), target, graphs=False)
    )
    return keras.saving.load_model(target, safe_mode=True)


@pytest.mark.parametrize(
    ("name", "form_of"),
    [
        *((name, to_flatten) for name in ("squeezed", "pooled", "norm", "within")),
        ("sequential", to_flatten),
        ("split", to_flatten),
        ("split", lambda w, b: to_low_rank(w, b, CHANNELS)),
        ("prior", to_flatten),
        ("gap", lambda w, b: to_low_rank(w, b, 1)),
        ("hidden", lambda w, b: to_low_rank(w, b, CHANNELS)),
        ("logits", lambda w, b: to_low_rank(w, b, CHANNELS)),
        ("reshaped", lambda w, b: to_shared(w, b, CHANNELS)),
    ],
)
def test_the_written_file_gives_the_same(
    name: str, form_of: Callable[..., Form], tmp_path: Path
) -> None:
    model = MODELS[name]()
    path = save(model, tmp_path, "h5" if name == "sequential" else "keras")
    _, w, bias = taken_apart(path, tmp_path / "parts")
    new = put_together(path, tmp_path / "parts", form_of(w, bias))
    before = given(model)
    assert before.std(axis=0).max() > 1e-3  # images are told apart
    assert close(given(new), before)


def test_only_the_top_is_another(tmp_path: Path) -> None:
    path = save(MODELS["within"](), tmp_path)
    facts, w, bias = taken_apart(path, tmp_path / "parts")
    assert (facts["pooling"], facts["units"], facts["ending"]) == ("gap", K, "softmax")
    assert facts["map_shape"] == [4, 4, CHANNELS]
    assert facts["top_parameters"] == (CHANNELS + 1) * K
    new = put_together(path, tmp_path / "parts", to_flatten(w, bias))
    inner = new.get_layer("pools_itself")
    assert inner.output_shape == (None, POSITIONS * CHANNELS)
    assert not inner.trainable and inner.get_layer("conv_b").trainable
    assert new.count_params() - facts["parameters"] == (POSITIONS - 1) * CHANNELS * K
    assert [layer.name for layer in new.layers][-1] == "last"


def test_what_follows_the_dense_layer_is_computed_from_its_numbers(tmp_path: Path) -> None:
    model = MODELS["hidden"]()
    path = save(model, tmp_path)
    facts, w, bias = taken_apart(path, tmp_path / "parts")
    assert (facts["ending"], facts["outputs"], facts["units"]) == (None, K, 8)
    maps = given(keras.saving.load_model(tmp_path / "parts" / "maps.keras"))
    numbers = to_flatten(w, bias).numbers(maps.reshape(-1, POSITIONS, CHANNELS))
    np.savez(tmp_path / "sums.npz", some=numbers)
    child.run_rest(RunRest(str(path), str(tmp_path / "sums.npz"), str(tmp_path / "rest.npz")))
    assert close(np.load(tmp_path / "rest.npz")["some"], given(model))


# what cannot be converted


def both(x: Any) -> Any:
    return softmax()(layers.Concatenate()([gap()(x), layers.GlobalMaxPooling2D()(x)]))


def unsized() -> keras.Model:
    image = keras.Input((None, None, 3))
    return keras.Model(image, softmax()(gap()(backbone(side=None)(image))))


SHARED = layers.Dense(POSITIONS * CHANNELS)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: topped(layers.GlobalMaxPooling2D(name="top"), softmax()), "Max.* 'top'; expected"),
        (lambda: topped(rest=both), "GlobalAveragePooling2D '.*', GlobalMaxPooling2D '.*'; exp"),
        (lambda: topped(layers.AveragePooling2D(2), flat(), softmax()), None),
        (
            lambda: topped(gap(), layers.ReLU(name="odd"), softmax()),
            "ReLU 'odd' lies between pooling and dense layer; expected",
        ),
        (lambda: topped(flat(), SHARED, SHARED, softmax()), "is used more than once"),
        (lambda: topped(gap()), "is followed by nothing; expected"),
        (unsized, "shape \\(None, None, 3\\); expected"),
        (lambda: keras.Sequential([keras.Input((4,)), softmax()]), "inputs of shape \\(4,\\)"),
        (
            lambda: keras.Sequential([keras.Input((4, 4, 3)), layers.Reshape((48,)), softmax()]),
            None,
        ),
    ],
)
def test_another_top_is_refused_by_name(
    build: Callable[[], keras.Model], words: str | None, tmp_path: Path
) -> None:
    path = save(build(), tmp_path)
    (tmp_path / "parts").mkdir()
    if words is None:  # these look odd, and can be
        child.take_apart(TakeApart(str(path), PIXELS, str(tmp_path / "parts"), graphs=False))
        return
    with pytest.raises(ModelFileError, match=words) as error:
        child.take_apart(TakeApart(str(path), PIXELS, str(tmp_path / "parts"), graphs=False))
    assert "\n" not in str(error.value) and f"'{path}' cannot be converted" in str(error.value)


@pytest.mark.parametrize(
    ("head", "kind", "expected"),
    [
        ("gap", "flatten", "flatten"),
        ("flatten-dropout0.5-256-128:gelu", "gap", "gap-dropout0.5-256-128:gelu"),
        ("gap-bn-dropout0.2-512", "flatten", "flatten-dropout0.2-512"),
        ("flatten-dropout0.5", "low_rank", "low_rank"),
        ("spatial_prior-512", "shared", "low_rank_shared-512"),
    ],
)
def test_the_record_names_the_new_head(head: str, kind: str, expected: str) -> None:
    assert _chain(head, kind) == expected
