from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headfit.errors import DataError, UsageError
from headfit.images.decode import decode
from headfit.images.index import ImageIndex
from headfit.images.per_class import require_per_class
from headfit.images.sources.folder import FolderSource
from headfit.images.sources.source import Skipped
from headfit.images.targets import Targets

needs_posix = pytest.mark.skipif(os.name == "nt", reason="links, FIFOs and odd names are posix")
IMAGE = Image.new("RGB", (4, 4), (10, 20, 30))


def make(root: Path, *names: str) -> Path:
    """Write a real image at each name that has an image suffix, else some text."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix.lower() in {".png", ".jpg"}:
            IMAGE.save(path, "PNG")
        else:
            path.write_text("text")
    return root


def trained(index: ImageIndex) -> Targets:
    return index.targets.subset(index.training)


def reasons(index: ImageIndex) -> dict[str, str]:
    return {one.path: one.reason for one in index.skipped}


def test_sub_folders_are_classes_in_a_fixed_order(tmp_path):
    make(tmp_path, "dog/b.png", "dog/a/z.JPG", "cat/10.png", "cat/9.png", "Zebra/1.png")
    index = ImageIndex.from_directory(tmp_path)
    assert index.paths == ("Zebra/1.png", "cat/10.png", "cat/9.png", "dog/a/z.JPG", "dog/b.png")
    assert index.classes == ("Zebra", "cat", "dog")
    assert (index.labels.tolist(), index.labels.dtype) == ([0, 1, 1, 2, 2], np.int64)
    assert not index.labels.flags.writeable
    assert set(index.splits) == {"train"}
    assert index.skipped == ()
    assert (len(index), index.counts()) == (5, {"Zebra": 1, "cat": 2, "dog": 2})
    assert decode(index.read_bytes(4), 2, 2)[0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("validation", ["val", "valid", "Validation"])
def test_split_folders_are_recognised(tmp_path, validation):
    names = ("Train/a/1.png", "Train/b/1.png", f"{validation}/a/2.png", "test/b/3.png")
    index = ImageIndex.from_directory(make(tmp_path, *names, "notes.txt", ".git/x"))
    assert index.classes == ("a", "b")
    assert dict(zip(index.paths, index.splits, strict=True)) == dict(
        zip(names, ("train", "train", "validation", "test"), strict=True)
    )
    assert repr(index).endswith("4 images (2 train, 1 validation, 1 test), 2 classes>")


def test_such_a_name_is_a_class_when_the_folder_is_no_split(tmp_path):
    index = ImageIndex.from_directory(make(tmp_path, "train/1.png", "bus/1.png"))
    assert index.classes == ("bus", "train")


def test_images_without_a_label_are_kept_apart(tmp_path):
    index = ImageIndex.from_directory(
        make(tmp_path, "train/a/1.png", "train/b/1.png", "test/2.png")
    )
    assert (index.classes, index.unlabelled) == (("a", "b"), ("test/2.png",))
    assert index.notes == ("Read as splits: 'test' (no labels), 'train' (train).",)
    part = index.for_prediction()
    assert (part.paths, part.splits, part.unlabelled) == (("test/2.png",), ("test",), ())


def test_a_class_can_be_taken_out_with_its_images():
    part = index_of(9).without_classes(["1"])
    assert part.counts() == {"0": 3, "2": 3}
    assert part.paths == ("0/0.png", "2/2.png", "0/3.png", "2/5.png", "0/6.png", "2/8.png")
    assert part.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert {each.label for each in part.skipped} == {"1"}


def test_what_is_no_image_is_listed_with_a_reason_and_clutter_is_not(tmp_path):
    make(tmp_path, "a/1.png", "b/1.png", "loose.png", "a/notes.txt", "b/README", "empty/x.txt")
    make(tmp_path, ".hid/1.png", "__MACOSX/1.png", "a/.x.png", "a/Thumbs.db", "desktop.ini")
    assert reasons(ImageIndex.from_directory(tmp_path)) == {
        "a/notes.txt": "not an image by its suffix '.txt'",
        "b/README": "has no suffix",
        "empty": "a folder without images, so not a class",
        "empty/x.txt": "not an image by its suffix '.txt'",
        "loose.png": "lies outside any class folder",
    }


@needs_posix
def test_links_are_followed_but_never_in_a_circle(tmp_path):
    root, store = make(tmp_path / "root", "a/1.png", "b/1.png"), make(tmp_path / "store", "x/2.png")
    make(tmp_path, "3.png")
    (root / "a/linked.png").symlink_to(tmp_path / "3.png")
    (root / "c").symlink_to(store)
    (store / "x/up").symlink_to(store)
    (root / "a/root").symlink_to(root)
    (root / "a/lost.png").symlink_to("nowhere.png")
    (root / "a/self.png").symlink_to("self.png")
    os.mkfifo(root / "b/pipe.png")
    index = ImageIndex.from_directory(root, follow_links=True)
    assert index.paths == ("a/1.png", "a/linked.png", "b/1.png", "c/x/2.png")
    assert reasons(index) == {
        "a/lost.png": "broken link",
        "a/root": "points to a folder that is read elsewhere",
        "a/self.png": "broken link",
        "b/pipe.png": "not a regular file",
        "c/x/up": "points to a folder that is read elsewhere",
    }


@needs_posix
@pytest.mark.skipif(sys.platform == "darwin", reason="that file system takes UTF-8 only")
def test_names_may_hold_any_character(tmp_path):
    odd = [
        "new\nline",
        "<script>alert(1)</script>".replace("/", "∕"),
        os.fsdecode(b"\xff\xfe"),
        "ü",
    ]
    index = ImageIndex.from_directory(make(tmp_path, *(f"{name}/{name}.png" for name in odd)))
    assert set(index.classes) == set(odd)
    assert all(index.read_bytes(row) for row in range(len(index)))
    page = index._repr_html_()
    assert "<script>" not in page
    assert page.encode("utf-8")
    with pytest.raises(DataError) as caught:
        require_per_class(trained(index), 2)
    assert "\n" not in str(caught.value)
    assert str(caught.value).encode("utf-8")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ((), "No images in .*. Expected one sub-folder for each class"),
        (("a/x.txt", "b/y.txt"), "No images in .* (2 × not an image by its suffix '.txt')"),
        (("1.png", "2.png"), "No class folders in .*: 2 images outside of any"),
        (("a/1.png", "a/2.png"), "Only one class in .*: 'a' (2 images)"),
        (("data/cat/1.png", "data/dog/1.png"), "If its sub-folders are the classes, give .*data'"),
        (
            ("train/a/1.png", "train/b/1.png", "val/c/1.png"),
            "class 'c' has validation images but no",
        ),
        (("train/a/1.png", "train/b/1.png", "test/d/1.png"), "class 'd' has test images but no"),
        (
            ("train/a/1.png", "val/a/1.png", "valid/a/1.png"),
            "'val' and 'valid' in .* are the same split",
        ),
    ],
)
def test_a_folder_that_cannot_be_learned_from_is_explained_in_one_line(tmp_path, names, said):
    pattern = said.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(DataError, match=pattern) as caught:
        ImageIndex.from_directory(make(tmp_path, *names))
    assert "\n" not in str(caught.value)


def test_a_path_that_cannot_be_meant_is_a_usage_error(tmp_path):
    make(tmp_path, "file.txt")
    for name, said in (
        ("absent", "no folder"),
        ("x" * 999, "no folder"),
        ("file.txt", "is a file"),
    ):
        with pytest.raises(UsageError, match=said):
            ImageIndex.from_directory(tmp_path / name)
    with pytest.raises(UsageError, match="min_per_class=0"):
        ImageIndex.from_directory(tmp_path, min_per_class=0)


@needs_posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
@pytest.mark.parametrize("closed", [".", "a", "b/deep"])
def test_a_folder_without_permission_is_named(tmp_path, closed):
    folder = make(tmp_path, "a/1.png", "b/deep/1.png") / closed
    folder.chmod(0)
    try:
        with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
            ImageIndex.from_directory(tmp_path)
    finally:
        folder.chmod(0o700)


def test_classes_with_too_few_images_are_named_and_test_images_do_not_count(tmp_path):
    make(tmp_path, "train/a/1.png", "train/a/2.png", "val/a/3.png")
    make(tmp_path, "train/b/1.png", "train/b/2.png", "test/b/3.png")
    index = ImageIndex.from_directory(tmp_path, min_per_class=2)
    require_per_class(trained(index), 2)
    with pytest.raises(DataError, match=r"few images: 'b' \(2\)\. At least 3 .* leave them out\.$"):
        require_per_class(trained(index), 3)
    with pytest.raises(DataError, match="or set `min_per_class=2`"):
        ImageIndex.from_directory(tmp_path, min_per_class=3)


def index_of(count: int) -> ImageIndex:
    labels = np.arange(count) % 3
    paths = tuple(f"{label}/{i}.png" for i, label in enumerate(labels))
    targets = Targets(("0", "1", "2"), labels)
    return ImageIndex(FolderSource(Path("/x")), paths, targets, ("train",) * count)


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_a_subset_by_mask_equals_one_by_positions(mask):
    whole = index_of(len(mask))
    lost = [Skipped("z", "damaged"), Skipped("b", "damaged")]
    by_mask = whole.subset(np.array(mask), lost)
    by_position = whole.subset(np.flatnonzero(mask))
    assert by_mask.paths == by_position.paths
    assert by_mask.labels.tolist() == by_position.labels.tolist()
    assert len(by_mask) == len(by_mask.splits) == sum(mask)
    assert all(
        whole.labels[whole.paths.index(path)] == label
        for path, label in zip(by_mask.paths, by_mask.labels, strict=True)
    )
    assert by_mask.classes == whole.classes
    assert [one.path for one in by_mask.skipped] == ["b", "z"]


def test_a_class_emptied_by_a_subset_is_reported():
    only_first = index_of(9).subset(np.array([0, 3]))
    assert only_first.counts() == {"0": 2, "1": 0, "2": 0}
    with pytest.raises(DataError, match=r"'1' \(0\), '2' \(0\)"):
        require_per_class(trained(only_first), 2)
