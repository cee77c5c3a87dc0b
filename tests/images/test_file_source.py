from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from headfit.errors import DataError, ImageError, UsageError
from headfit.images.index import ImageIndex

NAMES = ("b/2.png", "a/1.png", "b/deep/3.png", "a/4.png")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "photos" / name for name in NAMES]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.name.encode())
    return paths


def test_images_keep_the_order_of_the_list(paths, tmp_path):
    index = ImageIndex.from_paths(paths, ["dog", "cat", "dog", "cat"])
    assert index.paths == NAMES
    assert index.classes == ("cat", "dog")
    assert index.labels.tolist() == [1, 0, 1, 0]
    assert index.splits == ("train",) * 4
    assert index.groups is None
    assert index.source.to_dict() == {
        "kind": "files",
        "path": str(tmp_path / "photos"),
        "follow_links": True,
    }
    assert repr(index) == "<ImageIndex 'photos': 4 images, 2 classes>"
    assert [index.read_bytes(row) for row in range(4)] == [b"2.png", b"1.png", b"3.png", b"4.png"]


def test_a_file_that_has_gone_is_an_image_error(paths):
    index = ImageIndex.from_paths(paths, list("abab"))
    paths[2].unlink()
    with pytest.raises(ImageError, match=r"^No such file or directory$"):
        index.read_bytes(2)


def test_numpy_columns_groups_and_splits_are_taken(paths):
    index = ImageIndex.from_paths(
        np.array([str(path) for path in paths]),
        np.array([7, 10, 7, 10]),
        groups=["p1", None, "p1", 2],
        splits=np.array(["train", "train", "Val", "test"]),
    )
    assert index.classes == ("10", "7")
    assert index.groups == ("p1", None, "p1", "2")
    assert index.splits == ("train", "train", "validation", "test")
    assert (index.training.tolist(), index.test.tolist()) == ([0, 1, 2], [3])
    part = index.subset(np.array([2, 0]))
    assert (part.paths, part.groups) == ((NAMES[2], NAMES[0]), ("p1", "p1"))


def test_relative_paths_and_dots_are_resolved(paths, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "photos" / "a")
    index = ImageIndex.from_paths(["1.png", "../b/2.png"], ["x", "y"])
    assert index.paths == ("a/1.png", "b/2.png")
    assert index.read_bytes(1) == b"2.png"


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"labels": ["x", "y"]}, "`labels` must have one entry for each path. Received: 2 labels"),
        ({"groups": ["x"] * 5}, "Received: 5 groups, 4 paths"),
        ({"splits": []}, "Received: 0 splits"),
        ({"splits": ["train", "train", "dev", "test"]}, "'train', .* Received: splits='dev'"),
        ({"labels": ["x", "y", 0.5, "y"]}, r"whole numbers. Received: labels\[2\]=0.5"),
        ({"labels": "xyxy"}, "`labels` must be a list"),
        ({"groups": [None, "g", "", "g"]}, r"Received: groups\[2\]=''"),
        ({"paths": 3}, "`paths` must be a list of paths"),
        ({"paths": "photo.png"}, "`paths` must be a list"),
        ({"paths": [1, 2, 3, 4]}, "`paths` must be a list of paths.*paths=1"),
    ],
)
def test_columns_that_cannot_be_meant_are_refused(paths, changes, match):
    columns = {"paths": paths, "labels": ["x", "y", "x", "y"], **changes}
    with pytest.raises(UsageError, match=match):
        ImageIndex.from_paths(columns.pop("paths"), columns.pop("labels"), **columns)


def test_missing_and_repeated_files_are_named(paths):
    with pytest.raises(UsageError, match=r"1 of 5, the first being '.*absent.png'"):
        ImageIndex.from_paths([*paths, paths[0].with_name("absent.png")], list("ababa"))
    twice = paths[0].parent / ".." / "b" / "2.png"
    with pytest.raises(UsageError, match=r"names '.*2.png' twice"):
        ImageIndex.from_paths([*paths, twice], list("ababa"))


@pytest.mark.parametrize(
    ("labels", "splits", "match"),
    [
        (list("aaaa"), None, "Only one class in `labels`: 'a' (4 images)"),
        (list("aaab"), ["train"] * 3 + ["test"], "class 'b' has test images but no training"),
    ],
)
def test_labels_that_cannot_be_learned_are_explained(paths, labels, splits, match):
    with pytest.raises(DataError) as caught:
        ImageIndex.from_paths(paths, labels, splits=splits)
    assert match in str(caught.value)


def test_an_empty_list_is_refused():
    with pytest.raises(DataError, match="`paths` is empty"):
        ImageIndex.from_paths([], [])


def test_weights_are_taken_and_checked(paths):
    index = ImageIndex.from_paths(paths, list("abab"), weights=[1, 2, 3.5, 1])
    assert index.weights.tolist() == [1, 2, 3.5, 1]
    assert index.subset(np.array([2, 0])).weights.tolist() == [3.5, 1]
    for wrong in ([1, 2, 3], [1, 2, 3, -1], [1, 2, 3, "x"]):
        with pytest.raises(UsageError, match="`weights`"):
            ImageIndex.from_paths(paths, list("abab"), weights=wrong)
