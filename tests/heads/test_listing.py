"""``headfit heads``."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from headfit.cli.heads import command
from headfit.heads.chain import parse_head
from headfit.heads.pooling import pooling_names
from headfit.heads.presets import PRESETS


def listed(*arguments):
    result = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    return {record["name"]: record for record in json.loads(result.stdout)}


def test_every_head_is_listed_with_formula_and_count():
    records = listed("--map", "7,7,512", "--classes", "4")
    assert list(records) == [*pooling_names(), *PRESETS]
    for name, record in records.items():
        assert record["formula"] and record["source"]
        assert record["parameters"] == parse_head(name).parameters((7, 7, 512), 4)


@pytest.mark.parametrize(
    ("shape", "small"), [("2,4,8", {"spp", "covariance"}), ("3,3,8", {"spp"}), ("4,4,8", set())]
)
def test_a_head_that_a_map_is_too_small_for_has_no_count(shape, small):
    records = listed("--map", shape)
    assert {name for name, record in records.items() if record["parameters"] is None} == small
