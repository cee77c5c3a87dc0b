"""Limits and names of models: what is accepted, and what the errors say."""

from __future__ import annotations

import pytest

import headfit as hf
from headfit.serve.limits import Limits
from headfit.serve.models import parse_models


@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_must_be_positive(value):
    with pytest.raises(hf.UsageError, match=r"`queue` must be a positive number. Received"):
        Limits(queue=value)


def test_a_delay_may_be_zero():
    assert Limits(delay=0).delay == 0


def test_models_are_called_like_their_file_or_run_unless_named(tmp_path):
    for name in ("run one/model.keras", "a.keras", "b=c.keras"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    models = [
        tmp_path / "run one",
        tmp_path / "a.keras",
        f"x={tmp_path}/a.keras",
        tmp_path / "b=c.keras",
    ]
    assert parse_models(models) == {
        "run-one": tmp_path / "run one/model.keras",
        "a": tmp_path / "a.keras",
        "x": tmp_path / "a.keras",
        "b-c": tmp_path / "b=c.keras",
    }
    assert list(parse_models(tmp_path / "a.keras")) == ["a"]


def test_a_name_that_is_taken_or_invalid_is_refused(tmp_path):
    (tmp_path / "a.keras").touch()
    with pytest.raises(hf.UsageError, match="two models named 'a'"):
        parse_models([tmp_path / "a.keras", tmp_path / "a.keras"])
    for name in ("..", "a/b", "", "a" * 101):
        with pytest.raises(hf.UsageError, match="as the name of a model"):
            parse_models({name: tmp_path / "a.keras"})
    with pytest.raises(hf.UsageError, match=r"is not a model: expected a \.keras file"):
        parse_models(tmp_path)
