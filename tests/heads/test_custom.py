"""Heads of the user's own: what is refused, before anything runs and when they are built."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from headfit.cli.main import main
from headfit.errors import UnknownNameError, UsageError
from headfit.heads.chain import parse_head, parse_heads
from headfit.heads.custom.build_child import compile_head
from headfit.heads.custom.store import CompiledHead, CompileRequest
from photos import write_folder

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "jax", reason="programs are made with JAX"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning:keras"),
]
SHAPE = (3, 4, 5)
MODULE = """
import keras
from keras import layers

def average(x):
    return layers.GlobalAveragePooling2D()(x)

def row(x):
    return layers.Flatten()(x[:, 0])

def same_map(x):
    return x

def number(x):
    return 3

def broken(x):
    return average(x) + missing

def elsewhere(x):
    return keras.Input((4,))

def probabilities(x):
    return layers.Dense(4, activation="softmax")(average(x))

def hidden_code(x):
    return layers.Lambda(lambda y: y * 2)(average(x))

def wide(x):
    return layers.Dense(7)(average(x))

seven = 7
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The current folder, with a module of heads and a saved one."""
    folder = tmp_path_factory.mktemp("heads")
    (folder / "some_heads.py").write_text(MODULE)
    (folder / "sick_heads.py").write_text("import nothing_of_the_kind\n")
    x = keras.Input((3, 4, 6))
    keras.Model(x, layers.Flatten()(x)).save(folder / "six.keras")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def build(
    folder: Path, place: str | None = None, file: str | None = None, seed: int = 0
) -> CompiledHead:
    """Compile a head in this process."""
    folder.mkdir(exist_ok=True)
    compile_head(CompileRequest(str(place or file), place, file, SHAPE, seed, str(folder)))
    return CompiledHead.read(folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no_such_module:head", ["no_such_module:head", "no module 'no_such_module'"]),
        ("some_heads:heed", ["some_heads:heed", "has no 'heed'"]),
        ("head.keras", ["'head.keras'", "does not exist", "saved Keras model"]),
    ],
)
def test_what_is_not_there_is_refused_before_anything_runs(
    here: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_heads(f"gap,{text}")
    assert all(word in str(caught.value) for word in words), caught.value


def test_chains_and_own_heads_are_told_apart(here: Path) -> None:
    heads = parse_heads("gap-512:gelu, some_heads:average,six.keras")
    assert [head.name for head in heads] == ["gap-512:gelu", "some_heads:average", "six.keras"]
    with pytest.raises(UnknownNameError, match="gap:gelu"):
        parse_head("gap:gelu")


def test_python_gives_callables_each_under_a_name_of_its_own() -> None:
    heads = parse_heads(["gap", lambda x: x, layers.Flatten(name="flat")])
    assert [head.name for head in heads] == ["gap", "lambda", "flat"]
    with pytest.raises(UsageError, match="Two different heads are called 'lambda'"):
        parse_heads([lambda x: x, lambda x: x])
    with pytest.raises(UsageError, match="Received: 3"):
        parse_heads(["gap", 3])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("same_map", ["(None, 3, 4, 5)", "3×4×5", "Expected (None, d)"]),
        ("number", ["returns a builtins.int", "Expected a Keras tensor"]),
        ("broken", ["failed (some_heads.py, line 18)", "NameError", "'missing'"]),
        ("elsewhere", ["does not depend on the feature map alone"]),
        ("probabilities", ["ends in a softmax layer", "Remove it"]),
        ("hidden_code", ["a Lambda layer, which is code"]),
        ("seven", ["'seven'", "must be a function. Received: int"]),
    ],
)
def test_a_function_that_cannot_be_a_head_is_one_clear_line(
    here: Path, tmp_path: Path, name: str, words: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        build(tmp_path, place=f"some_heads:{name}")
    message = str(caught.value)
    assert message.startswith(f"Head 'some_heads:{name}'") and "\n" not in message
    assert all(word in message for word in words), message


def test_a_module_that_fails_and_a_model_for_other_maps_are_named(
    here: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"sick_heads:head' failed .*nothing_of_the_kind"):
        build(tmp_path, place="sick_heads:head")
    with pytest.raises(UsageError, match=r"six.keras' takes inputs of shape \(3, 4, 6\)"):
        build(tmp_path, file="six.keras")


@pytest.mark.slow
def test_the_command_line_says_it_before_any_image_is_looked_at(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = write_folder(tmp_path / "photos", 4)
    small = ["--size", "48", "--weights", "random", "--quick", "--folds", "3"]
    assert main(["compare", str(photos), "--heads", "some_heads:same_map", *small]) == 2
    err = capsys.readouterr().err
    assert "Head 'some_heads:same_map' returns a tensor of shape (None, 2, 2, 1280)" in err
    assert "images went through" not in err


def test_what_is_known_of_a_head(here: Path, tmp_path: Path) -> None:
    average, row = (build(tmp_path / n, f"some_heads:{n}") for n in ("average", "row"))
    assert (average.width, average.arrays, average.position_aware) == (5, (), False)
    assert (row.width, row.position_aware) == (20, True)
    wide = build(tmp_path / "wide", "some_heads:wide")
    assert [(w.shape, w.decay) for w in wide.arrays] == [((5, 7), True), ((7,), False)]


def test_an_edited_function_is_another_head_and_a_comment_is_no_edit(
    here: Path, tmp_path: Path
) -> None:
    def built(body: str) -> CompiledHead:
        (here / "edited.py").write_text(f"from some_heads import layers, wide\n{body}")
        importlib.invalidate_caches()
        sys.modules.pop("edited", None)
        return build(tmp_path, "edited:head")

    first = built("def head(x):\n    return 2 * wide(x)\n")
    assert first.digest == built("# a comment\ndef head(x):\n    return 2 * wide(x)\n").digest
    assert first.digest != built("# another\ndef head(x):\n    return 3.5 * wide(x)\n").digest


def test_the_seed_draws_the_first_weights_and_both_tell_heads_apart(
    here: Path, tmp_path: Path
) -> None:
    one, same, other = (
        build(tmp_path / str(number), "some_heads:wide", seed=seed)
        for number, seed in enumerate((1, 1, 2))
    )
    np.testing.assert_array_equal(one.start()[0], same.start()[0])
    assert one.digest == same.digest != other.digest
    assert np.abs(one.start()[0] - other.start()[0]).max() > 0.1
