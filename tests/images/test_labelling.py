"""What label columns are taken for, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headfit.errors import DataError, UsageError
from headfit.images.index import ImageIndex
from headfit.images.per_class import require_per_class
from headfit.images.sources import find_source, open_source
from headfit.images.sources.cells import count_cells
from headfit.images.sources.labelling import Place, decide
from headfit.images.targets import Targets

COUNT = 24
NAMES = [f"{number:02}.png" for number in range(COUNT)]
WORDS = ("sea", "sky", "new boat", "é")


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures", numbered=False)
    for name in NAMES:
        (folder / name).write_bytes(name.encode())
    return folder


def index_of(root: Path, table: dict[str, Sequence[Any]], **options: Any) -> ImageIndex:
    """Index the first images as a table in memory describes them."""
    count = len(next(iter(table.values())))
    return ImageIndex.from_table({"path": NAMES[:count], **table}, root=root, **options)


def repeated(*values: Any) -> list[Any]:
    """As many cells as there are images, each value as often as the others."""
    return [values[number % len(values)] for number in range(COUNT)]


@pytest.mark.parametrize(
    ("cells", "kind", "said"),
    [
        (repeated("cat", "dog"), "class", None),
        (repeated("0", "1"), "class", None),  # nobody asks for a number of two values
        (repeated(*map(str, range(8))), "class", "8 different whole numbers, from 0 to 7, taken"),
        (repeated("007", "008"), "class", None),
        (repeated(1, 2, 3), "class", "For a number, set `target='number'`"),
        (list(range(COUNT)), "number", "from 0 to 23. For classes, set `target='class'`"),
        (repeated("0.5", "1", "2"), "number", "holds the number to predict"),
        (repeated("1,5", "2,25", "3"), "number", "decimal commas: '1,5' is 1.5"),
        (repeated("sea;sky", "sky"), "labels", "separated by ';', as in 'sea;sky'"),
        (repeated("sea", "sky;", "", "boat"), "labels", "several labels"),
        (repeated(["sea"], [], ["sea", "sky"]), "labels", "holds lists"),
    ],
)
def test_a_column_shows_what_it_means(root, cells, kind, said):
    index = index_of(root, {"label": cells})
    assert index.targets.kind == kind
    notes = " ".join(index.notes)
    assert said in notes if said else index.notes == ()
    assert index_of(root, {"label": cells}, target=kind).targets.names == index.classes


def test_class_numbers_that_count_without_a_gap_stay_classes(root):
    few = [number // 3 for number in range(COUNT)]
    assert ImageIndex.from_paths([root / name for name in NAMES], few).targets.kind == "class"
    many = list(range(1, 101)) * 3
    assert kind_of(many) == "class"
    assert kind_of([7 * each for each in many]) == "number"
    assert kind_of(many[:100]) == "number"  # one image of each


def kind_of(cells: Sequence[Any]) -> str:
    rows = ((number, (cell,)) for number, cell in enumerate(cells))
    return decide(count_cells(["label"], rows), Place("'t'")).kind


@pytest.mark.parametrize(
    ("table", "kind", "names"),
    [
        ({"sky": repeated(0, 1), "sea": repeated(1, 0, 0)}, "labels", ("sea", "sky")),
        ({"sky": repeated(True, False), "sea": repeated("true", "0")}, "labels", ("sea", "sky")),
        ({"y": repeated(0.5, 2), "x": repeated(0, 1)}, "number", ("x", "y")),
    ],
)
def test_several_columns_are_labels_if_all_hold_0_and_1_else_numbers(root, table, kind, names):
    for columns in (",".join(names), list(names)):
        index = index_of(root, table, label_column=columns)
        assert (index.targets.kind, index.classes) == (kind, names)
    said = [f"{len(names)} columns of 'the table' hold 0 and 1" in note for note in index.notes]
    assert said == [True] * (kind == "labels")


labels = st.lists(st.sets(st.sampled_from(WORDS)), min_size=2, max_size=COUNT).filter(any)
finite = st.floats(-1e6, 1e6, allow_subnormal=False)
numbers = st.lists(st.tuples(finite, finite), min_size=2, max_size=COUNT)


@given(labels, st.sampled_from([";", "|", ", "]))
@settings(max_examples=30, deadline=None)
def test_labels_in_a_cell_and_in_columns_are_read_again_as_the_same_targets(
    root: Path, tmp_path_factory: pytest.TempPathFactory, labels: list[set[str]], separator: str
) -> None:
    expected = Targets.of_labels(labels)
    frame = pd.DataFrame({"path": NAMES[: len(labels)]})
    joined = frame.assign(label=[separator.join(sorted(each)) for each in labels])
    columns = frame.assign(**{name: [name in each for each in labels] for name in expected.names})
    options = {"target": "labels", "root": root}
    place = tmp_path_factory.mktemp("tables")
    for suffix, write in (("csv", _csv), ("jsonl", _json_lines)):
        write(joined, place / f"a.{suffix}")
        write(columns.astype(dict.fromkeys(expected.names, int)), place / f"b.{suffix}")
        read = [
            ImageIndex.from_table(place / f"a.{suffix}", label_separator=separator, **options),
            ImageIndex.from_table(
                place / f"b.{suffix}", label_column=list(expected.names), **options
            ),
        ]
        for index in read:
            assert index.targets.names == expected.names
            assert index.targets.values.tolist() == expected.values.tolist()


@given(numbers)
@settings(max_examples=30, deadline=None)
def test_numbers_are_read_again_exactly(
    root: Path, tmp_path_factory: pytest.TempPathFactory, numbers: list[tuple[float, float]]
) -> None:
    frame = pd.DataFrame(numbers, columns=["x", "y"]).assign(path=NAMES[: len(numbers)])
    place = tmp_path_factory.mktemp("tables")
    options = {"target": "number", "label_column": "y,x", "root": root}
    _csv(frame, place / "a.csv")
    frame.to_parquet(place / "a.parquet")
    for table in (place / "a.csv", place / "a.parquet", frame):
        index = ImageIndex.from_table(table, **options)
        assert index.classes == ("y", "x")
        assert index.targets.values.tolist() == [[y, x] for x, y in numbers]


def _csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False)


def _json_lines(frame: pd.DataFrame, path: Path) -> None:
    frame.to_json(path, orient="records", lines=True)


@pytest.mark.parametrize(
    ("table", "options", "match"),
    [
        (
            {"x": repeated(1.5, 2), "y": [*repeated(1.5, 2)[:-1], "east"]},
            {"label_column": "x,y"},
            "^Column 'y' of the table must hold a number in each row. Received: 'east' in row 23.",
        ),
        (
            {"label": repeated("cat", "dog")},
            {"target": "number"},
            "Received: 'cat' in row 0 and 23",
        ),
        ({"label": [*map(float, range(23)), "nan"]}, {}, "'nan' in row 23.* set `target='class'`"),
        (
            {"label": repeated(0.5, 2, None)},
            {},
            "8 rows without, row 2, row 5, row 8, …. Fill them in or remove these rows",
        ),
        (
            {"sea": repeated(0, 1), "sky": [2, *repeated(0, 1)[1:]]},
            {"label_column": "sea,sky"},
            "Column 'sky' .* must hold 0 or 1 .* '2' in row 0. .* set `target='number'`",
        ),
        ({"sea": repeated(0, 1), "sky": [0] * COUNT}, {"label_column": "sea,sky"}, "label 'sky'. "),
        ({"label": [""] * COUNT}, {"target": "labels"}, "No image in 'the table' has a label"),
        ({"x": repeated(1, 2), "y": repeated(3, 4)}, {}, "separate several by commas"),
    ],
)
def test_cells_that_cannot_be_meant_are_named(root, table, options, match):
    with pytest.raises(DataError, match=match.replace("of the table", "of 'the table'")) as caught:
        index_of(root, table, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"target": "classes"}, "`target` must be one of class, labels, number. Received"),
        ({"label_separator": ""}, "`label_separator` must be a text such as ';'"),
        ({"label_column": "a,b", "target": "class"}, "one column where the target is class"),
        ({"label_column": "a,A"}, "`label_column` must be columns that differ"),
        ({"label_column": "a,bee"}, "`label_column` must be a column of .* Received: .*'bee'"),
        ({"label_column": 3}, "`label_column` must be the name of a column, or several"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(root, options, match):
    with pytest.raises(UsageError, match=match):
        index_of(root, {"a": repeated(1, 2), "b": repeated(3, 4)}, **options)


def test_class_folders_hold_classes_only(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    assert ImageIndex.from_source(open_source(tmp_path, target="class")).classes == ("cat", "dog")
    with pytest.raises(UsageError, match="class folders give each image one class"):
        open_source(tmp_path, target="number")


def test_lists_dicts_and_frames_beside_paths_give_every_kind(root):
    paths = [root / name for name in NAMES]
    flags = {"sky": repeated(0, 1), "sea": repeated(1, 1, 0)}
    several = [[name for name in flags if flags[name][row]] for row in range(COUNT)]
    expected = Targets.of_labels(several).values.tolist()
    arrow = pyarrow.table(flags)
    for given_labels in (
        several,
        flags,
        pd.DataFrame(flags),
        pd.Series(several),
        arrow,
        [";".join(each) for each in several],
    ):
        index = ImageIndex.from_paths(paths, given_labels)
        assert (index.targets.kind, index.classes) == ("labels", ("sea", "sky"))
        assert index.labels.tolist() == expected
    ages = pd.Series(np.linspace(0, 50, COUNT), name="age")
    assert ImageIndex.from_paths(paths, ages).classes == ("age",)
    both = ImageIndex.from_paths(paths, {"x": ages, "y": -ages}, target="number")
    assert both.labels.tolist() == [[each, -each] for each in ages]
    with pytest.raises(DataError, match=r"`labels` must hold a number .* 1 row without, entry 3"):
        ImageIndex.from_paths(paths, ages.where(ages.index != 3))
    with pytest.raises(UsageError, match="a dict of columns such as"):
        ImageIndex.from_paths(paths, np.zeros((COUNT, 2)))


def test_the_index_of_every_kind_counts_shows_and_loses_names(root):
    several = index_of(root, {"label": repeated("sea;sky", "sky", "")})
    assert several.counts() == {"sea": 8, "sky": 16}
    assert repr(several) == "<ImageIndex 'pictures': 24 images, 2 labels>"
    fewer = several.without_classes(["sky"])
    assert (len(fewer), fewer.counts()) == (COUNT, {"sea": 8})
    assert several.for_prediction().labels.shape == (0, 2)
    numbers = index_of(root, {"x": repeated(0.5, 2.5), "z": list(range(24))}, label_column="x,z")
    assert repr(numbers) == "<ImageIndex 'pictures': 24 images, 2 numbers>"
    html = numbers._repr_html_()
    assert all(f">{cell}<" in html for cell in ("least", "mean", "greatest", "0.5", "1.5", "2.5"))


def test_rows_of_one_image_join_their_labels_but_not_their_numbers(root):
    rows = {"path": [*NAMES[:3], NAMES[0]], "label": ["sea", "sky", "sea", "sky"]}
    index = ImageIndex.from_table(rows, root=root, target="labels")
    assert [index.targets.label(row) for row in range(3)] == ["sea;sky", "sky", "sea"]
    assert "1 image has several rows, whose labels are joined. The first: '00.png'." in index.notes
    numbers = {**rows, "label": [1.5, 2, 3, 4]}
    index = ImageIndex.from_table(numbers, root=root, target="number")
    assert (len(index), len(index.skipped)) == (2, 2)


@pytest.mark.parametrize(
    ("targets", "match"),
    [
        (Targets.of_labels([{"a"}, {"a", "b"}, {"a"}, {}]), r"Labels .* images: 'b' \(1\)"),
        (Targets.of_labels([{"a"}] * 9), r"Labels with too few images without them: 'a' \(0\)"),
        (Targets.of_labels([set("abcde"), set("abcd"), {}]), "5 labels for 3 training images"),
        (Targets.of_numbers(["x"], np.full((9, 1), 3)), "The number 'x' is 3 for all 9 training"),
        (Targets.of_numbers(["x"], np.eye(2)[:, :1]), "at least 3 training images. Received: 2"),
    ],
)
def test_targets_that_leave_nothing_to_learn_are_refused(targets, match):
    with pytest.raises(DataError, match=match):
        require_per_class(targets, 3)


def test_what_the_user_chose_is_stored_and_found_again(root):
    table = pd.DataFrame({"path": NAMES, "x": repeated(1.5, 2), "tags": repeated("a|b", "b")})
    table.to_csv(root / "t.csv", index=False)
    for options in (
        {"label_column": ["x"], "target": "number"},
        {"label_column": "tags", "label_separator": "|", "target": "labels"},
    ):
        index = ImageIndex.from_source(open_source(root / "t.csv", **options))
        stored = json.loads(json.dumps(index.source.to_dict()))
        again = find_source(stored)
        assert again is not None and again.options == index.source.options
        assert ImageIndex.from_source(again).targets.names == index.classes
        assert find_source({**stored, "target": "what"}) is None
        assert find_source({**stored, "columns": {"label": 3}}) is None


@pytest.mark.parametrize("target", [None, "class", "labels", "number"])
@pytest.mark.parametrize("as_table", [True, False])
def test_odd_cells_are_read_or_refused_in_one_line(root, target, as_table):
    odd = [pd.NA, pd.NaT, 10**400, float("inf"), b"x", {"a": 1}, {"s"}, [["a"]], np.array("q")]
    odd += [1j, object(), "\udc80", "\x00", "1_0", "٣", True, np.array([1, 2]), ""]
    for cell in odd:
        cells = [*repeated("a", "b")[:-1], cell]
        try:
            if as_table:
                index = index_of(root, {"label": cells}, target=target)
            else:
                paths = [root / name for name in NAMES]
                index = ImageIndex.from_paths(paths, cells, target=target)
        except (DataError, UsageError) as error:
            assert "\n" not in str(error)
        else:
            assert len(index) >= COUNT - 1
