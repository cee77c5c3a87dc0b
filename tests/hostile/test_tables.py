"""Cells and names that no file can have are rows that cannot be used, never an error of Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from headfit.errors import DataError, UsageError
from headfit.images.index import ImageIndex
from photos import write_folder

NAMES = (
    *("a\0/b.jpg", "\0/../b.jpg", "\udcff\0/b.jpg"),
    *("x" * 5000 + "/b.jpg", "con:\\b.jpg", "//a/b"),
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("photos") / "all", 1)


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_row_with_such_a_path_is_left_out(name: str, follow: bool, photos: Path) -> None:
    rows = [("blue/00.jpg", "blue"), ("red/00.jpg", "red"), (name, "red")]
    table = {"path": [path for path, _ in rows], "label": [label for _, label in rows]}
    index = ImageIndex.from_table(table, root=photos, follow_links=follow)
    assert index.paths == ("blue/00.jpg", "red/00.jpg")


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_table_of_nothing_else_is_one_error(name: str, photos: Path) -> None:
    with pytest.raises(DataError, match=r"no such file|points outside|of 1 row"):
        ImageIndex.from_table({"path": [name], "label": ["a"]}, root=photos)


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_a_listed_file_with_such_a_path_does_not_exist(name: str) -> None:
    with pytest.raises(UsageError, match="do not exist"):
        ImageIndex.from_paths([name, "other.jpg"], ["a", "b"])
