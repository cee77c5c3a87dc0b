"""The declared list: what its lists multiply to, and what it refuses."""

from __future__ import annotations

import math
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headfit.board.declaration import MULTIPLIED, NAME, expand, read_declaration
from headfit.board.inputs import check
from headfit.errors import HeadfitError, UsageError

DOCUMENT = Path(__file__).parents[2] / "docs" / "board.md"


def names(text: str) -> list[str]:
    return [run.name for run in expand(tomllib.loads(text), Path())]


def test_the_list_in_the_document_is_one() -> None:
    text = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)[0]
    assert names(text) == [
        "digits-efficientnet_lite0-64",
        "digits-efficientnet_lite0-128",
        "digits-MobileNetV2-64",
        "digits-MobileNetV2-128",
        "xy-efficientnet_lite0",
        "xy-MobileNetV2",
        "photos-efficientnet_lite0",
        "photos-MobileNetV2",
    ]


def test_a_run_overrides_the_defaults_and_paths_start_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("path,group\n")
    text = """
    defaults = {size = 64, heads = ["gap"]}
    run = [{source = "more/photos", size = 96, groups = "groups.csv"},
           {source = "demo:cells", groups = 'cell(\\d+)'}]
    """
    first, second = expand(tomllib.loads(text), tmp_path)
    assert first.to_dict() == {
        **{"source": "more/photos", "size": 96, "heads": ["gap"], "groups": "groups.csv"}
    }
    assert first.resolved("source") == str(tmp_path / "more" / "photos")
    assert first.resolved("groups") == str(tmp_path / "groups.csv")
    assert (second.name, second.resolved("groups")) == ("cells", r"cell(\d+)")


def test_records_show_no_absolute_path() -> None:
    runs = expand(
        {"run": [{"source": "/home/ann/photos", "heads": ["C:\\ann\\top.keras"]}]}, Path()
    )
    assert runs[0].to_dict() == {"source": "photos", "heads": ["top.keras"]}


VALUES = {
    "source": st.sampled_from(["photos", "demo:digits", "a/b.csv", "C:\\x", "hf:data", "été/ж"]),
    "backbone": st.sampled_from(["efficientnet_lite0", "MobileNet", "my model.keras"]),
    "weights": st.sampled_from(["imagenet", "random"]),
    "size": st.integers(32, 512),
    "cut": st.sampled_from(["block4_pool", "a+b"]),
}
TABLES = st.fixed_dictionaries(
    {"source": st.one_of(VALUES["source"], st.lists(VALUES["source"], min_size=1, unique=True))},
    optional={
        key: st.one_of(each, st.lists(each, min_size=1, max_size=3, unique=True))
        for key, each in VALUES.items()
        if key != "source"
    },
)


@settings(deadline=None)
@given(st.lists(TABLES, min_size=1, max_size=3), st.randoms())
def test_lists_multiply_to_the_same_runs_whatever_the_order_of_keys(
    tables: list[dict[str, Any]], random: Any
) -> None:
    named = [{"name": f"run{number}", **table} for number, table in enumerate(tables)]
    runs = expand({"run": named}, Path())
    shuffled = [dict(random.sample(list(table.items()), len(table))) for table in named]
    assert [(run.name, run.to_dict()) for run in expand({"run": shuffled}, Path())] == [
        (run.name, run.to_dict()) for run in runs
    ]
    counts = [math.prod(len(t[k]) for k in MULTIPLIED if isinstance(t.get(k), list)) for t in named]
    assert len(runs) == sum(counts)
    assert len({run.name.casefold() for run in runs}) == len(runs)
    for run in runs:
        assert NAME.fullmatch(run.name)
        assert not any(isinstance(run.settings.get(key), list) for key in MULTIPLIED)


REFUSED = {
    "[[run]]\nsource='photos'\nsise=64": "Run 1: Unknown key 'sise'. Did you mean 'size'?",
    "[[run]]\nname='x'\nsource='photos'\nfolds='5'": (
        "Run 'x': `folds` must be a whole number. Received: folds='5'."
    ),
    "[[run]]\nname='x'\nsource='photos'\nwhere=1": "Run 'x': `where` must be true or false.",
    "[[run]]\nname='x'\nsource='photos'\nsize=[64, true]": (
        "Run 'x': `size` must be a whole number, or a list. Received: size=[64, True]."
    ),
    "[[run]]\nname='x'\nsource='photos'\nbackbone=[]": "Run 'x': `backbone` must be a text, or a",
    "[[run]]\nname='x'\nsource='photos'\nkeep='gap'": "left out: a board keeps no models",
    "[[run]]\nname='../x'\nsource='photos'": "Run 1: `name` must be at most 100 letters",
    "[[run]]\nname='x'": "Run 'x': the key source is missing",
    "[defaults]\nsource='photos'": "holds no runs: write a table [[run]]",
    "[defaults]\nsource='photos'\n[[run]]\nsource='a'": "[defaults]: Unknown key 'source'.",
    "[runs]": "Unknown table 'runs'. Did you mean 'run'?",
    "[run]\nsource='photos'": "holds no runs: write a table [[run]]",
    "[[run]]\nsource='photos'\n[[run]]\nsource='more/Photos'": "Two runs are called 'Photos'",
    "[[run]]\nsource='x'\nsize=1979-05-27": "`size` must be a whole number",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_meant_is_named_with_its_run(text: str) -> None:
    with pytest.raises(UsageError) as error:
        names(text)
    assert REFUSED[text] in str(error.value)


UNFIT = {
    "source = 'nowhere'": "`source` must be a folder, a table, an archive, demo:NAME or hf:NAME.",
    "source = 'demo:digit'": "Unknown data set 'digit'. Did you mean 'digits'?",
    "source = 'demo:digits'\nfolds = 2": "`folds` must be an integer of at least 3.",
    "source = 'demo:digits'\nrope = nan": "rope must lie between 0 and 1",
    "source = 'demo:digits'\nbackbone = 'MobileNet,VGG16'": (
        "`backbone` must be one value in each run. Received: backbone='MobileNet,VGG16'. Write a "
        "list"
    ),
    "source = 'demo:digits'\nheads = ['gab']": "Run 'x': Unknown",
}


@pytest.mark.parametrize("text", UNFIT)
def test_wrong_values_are_refused_before_anything_runs(text: str, tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_text(f"[[run]]\nname = 'x'\n{text}\n", "utf-8")
    with pytest.raises(HeadfitError, match=r"^Run 'x': ") as error:
        [check(run) for run in read_declaration(tmp_path / "board.toml")]
    assert UNFIT[text] in str(error.value)
    assert error.value.exit_code == 2
