from __future__ import annotations

from pathlib import Path

import pytest

from headfit.errors import UsageError
from headfit.images.index import ImageIndex
from headfit.runs.grouping import UserGroups
from headfit.runs.options import Options


@pytest.fixture
def index(tmp_path: Path) -> ImageIndex:
    paths = [tmp_path / f"p{number // 2}-{number}.png" for number in range(6)]
    for path in paths:
        path.touch()
    return ImageIndex.from_paths(
        paths,
        ["cat", "dog"] * 3,
        groups=["p0", "p0", "p1", "p1", None, "p2"],
        splits=["train"] * 5 + ["test"],
    )


def test_groups_of_the_index_count_as_those_of_an_argument(index: ImageIndex) -> None:
    groups = UserGroups.read(index, Options())
    assert groups is not None
    assert list(groups.numbers.values()) == [0, 0, 1, 1, 2]
    assert groups.unmatched == 1
    whole = ImageIndex.from_paths(
        [Path(index.source.location) / path for path in index.paths], ["cat", "dog"] * 3
    )
    assert UserGroups.read(whole, Options()) is None
    matched = UserGroups.read(whole, Options(groups=r"p\d"))
    assert matched is not None
    assert list(matched.numbers.values()) == [0, 0, 1, 1, 2, 2]


def test_groups_are_named_once(index: ImageIndex) -> None:
    with pytest.raises(UsageError, match="`groups` must be left out: the index names the groups"):
        UserGroups.read(index, Options(groups="p"))
