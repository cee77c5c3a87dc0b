"""Records side by side: which may be, and what each format shows."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest

import boards
from boards import record
from headfit.board import render
from headfit.board.rows import row_of
from headfit.errors import DataError

OTHERS = {
    "metric": {"metric": "r2"},
    "number of folds": {"folds": 5},
    "version of the statistics": {"statistics": 0},
    "folds of the same images": {"drawn": "f2"},
}


@pytest.mark.parametrize("what", OTHERS)
def test_what_cannot_be_compared_is_refused_with_names(what: str, tmp_path: Path) -> None:
    boards.write(tmp_path, one=record(), two=record(), other=record(**OTHERS[what]))
    with pytest.raises(DataError, match=f"These 3 records .* differ in the {what}: ") as error:
        render(tmp_path)
    assert "(one and two)" in str(error.value)
    assert "(other)" in str(error.value)
    groups = render(tmp_path, group=True).groups
    assert [[row["name"] for row in group["rows"]] for group in groups] == [
        ["one", "two"],
        ["other"],
    ]


def test_other_images_may_have_other_folds(tmp_path: Path) -> None:
    boards.write(tmp_path, one=record(), two=record(data="d2", drawn="f2"))
    assert len(render(tmp_path).groups) == 1


def test_rows_are_ordered_by_the_difference_and_untested_ones_come_last(tmp_path: Path) -> None:
    untested = record()
    untested["verdict"]["difference"] = None
    boards.write(tmp_path, a=untested, b=record("equivalent", 0.0), c=record())
    (group,) = render(tmp_path).groups
    assert [(row["name"], row["answer"]) for row in group["rows"]] == [
        ("c", "necessary"),
        ("b", "not necessary"),
        ("a", "not tested"),
    ]


def of_several(count: int) -> dict[str, dict[str, Any]]:
    found = {f"set{n}": record(mean=0.03 + n / 200, data=f"d{n}") for n in range(count)}
    for name, each in found.items():
        each["declaration"]["source"] = name
    return found


def test_data_sets_are_spoken_of_together_and_too_few_are_named(tmp_path: Path) -> None:
    (few,) = render(boards.write(tmp_path / "few", **of_several(2))).groups
    expected = "2 data sets cannot show a difference, at least 6 are needed"
    assert expected in few["summary"]["sentences"][0]
    (many,) = render(boards.write(tmp_path / "many", **of_several(8))).groups
    sentence = many["summary"]["sentences"][0]
    assert sentence.startswith("Flatten is better than gap over 8 data sets")
    page = html.unescape((tmp_path / "many" / "board.html").read_text("utf-8"))
    assert f"<li>{sentence}</li>" in page


GOLDEN = """\
## Balanced accuracy, 1 × 3 folds; differences up to 1.0 point do not matter

| run | Flatten is | flatten − gap, points | 95 % interval | best head | balanced accuracy, % |\
 its 95 % interval | its parameters | parameters of gap | parameters of flatten | best τ | map |\
 images | images a class | position share, % | claimed − honest, points |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| [where](records/where.json) | necessary | +4.0 | +2.0 to +6.0 | flatten | 84.0 | 74.0 to 100.0 |\
 15,363 | 3,843 | 15,363 | 0.3 | 2×2×1280 | 36 | 18 | 42 | best epoch +1.2 |
| [what](records/what.json) | not necessary | −3.0 | −5.0 to −1.0 | gap | 80.0 | 70.0 to 100.0 |\
 3,843 | 3,843 | 15,363 | – | 2×2×1280 | 36 | 18 | – | – |
"""


def test_every_format_shows_the_same_rows(tmp_path: Path) -> None:
    what = record("not_necessary", -0.03, spectrum=None, position_share=None)
    boards.write(tmp_path, where=record(claims={"best epoch": 0.012}), what=what)
    board = render(tmp_path)
    assert GOLDEN in (tmp_path / "board.md").read_text("utf-8")
    assert json.loads((tmp_path / "board.json").read_text("utf-8")) == board.to_dict()
    page = (tmp_path / "board.html").read_text("utf-8")
    for texts in (["where", "+4.0", "+2.0 to +6.0"], ["what", "−3.0", "−5.0 to −1.0"]):
        name, *others = texts
        (row,) = re.findall(rf'<tr><th scope="row"><a href="records/{name}.json">.*</tr>', page)
        for text in others:
            assert f"<td>{text}</td>" in row
        assert f"<title>{name}: flatten − gap {others[0]} points ({others[1]}); Flatten" in page
    assert "where" in (tmp_path / "board.svg").read_text("utf-8")


def test_the_page_asks_nobody_for_anything(tmp_path: Path) -> None:
    render(boards.write(tmp_path, one=record()))
    page = html.unescape((tmp_path / "board.html").read_text("utf-8"))
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="(?!#|records/|board\.json)[^"]*"', page) == []


def test_a_board_written_twice_is_the_same(tmp_path: Path) -> None:
    boards.write(tmp_path, one=record(), two=record(mean=-0.01, data="d2"))
    names = ("board.json", "board.md", "board.html", "board.svg")
    first = [render(tmp_path) and (tmp_path / name).read_bytes() for name in names]
    assert [render(tmp_path) and (tmp_path / name).read_bytes() for name in names] == first


@pytest.mark.parametrize(
    "changes",
    [
        {"metric": "speed"},
        {"candidates": []},
        {"place": {}},
        {"verdict": {"flatten": "maybe", "difference": {"mean": 0.1}, "recommended": "gap"}},
        {"images": {"training": "many"}},
        {"claims": [1]},
        {"folds": 4, "protocol": {"folds": 3, "repeats": 1, "rope": 0.01}},
        {"position_share": 1e300},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_damaged_record_is_named(changes: dict[str, Any], tmp_path: Path) -> None:
    boards.write(tmp_path, fine=record(), broken=record(**changes))
    with pytest.raises(DataError, match=r"broken\.json' lacks values that a board shows"):
        render(tmp_path)


def test_a_row_holds_the_scores_of_the_folds() -> None:
    row = row_of(record(), Path("one.json"))
    assert row["heads"]["gap"]["folds"] == [0.8] * 3
    assert row["parameters"] == {"gap": 3843, "flatten": 15363, "best": 15363}


def test_a_folder_without_records_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no records"):
        render(tmp_path)
