"""All commands find the same images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headfit.errors import UsageError
from headfit.images.index import ImageIndex
from headfit.images.inputs import Inputs
from photos import touch

needs_posix = pytest.mark.skipif(os.name == "nt", reason="links and FIFOs are posix")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = touch(tmp_path / "photos", "a/1.jpg", "a/2.PNG", "b/deep/3.jpg")
    touch(root, "a/._1.jpg", "a/.ipynb_checkpoints/1.jpg", "__MACOSX/a/._1.jpg", "a/Thumbs.db")
    touch(root, "headfit-run/model.keras", "headfit-run/report.html", "headfit-run/x.png")
    return touch(root, "headfit-explain/sheet.png", "headfit-explain/0001-1-a.png")


@pytest.mark.parametrize("pattern", ["", "/*", "/**/*", "/**/*.*"])
def test_folders_and_patterns_lead_to_the_images_of_an_index(photos: Path, pattern: str) -> None:
    touch(photos, "a/notes.txt")
    found = [Path(path).relative_to(photos).as_posix() for path in Inputs([f"{photos}{pattern}"])]
    assert sorted(found) == sorted(ImageIndex.from_directory(photos).paths)


def test_what_is_named_is_taken(photos: Path) -> None:
    names = [f"{photos}/a/._1.jpg", f"{photos}/headfit-run/*.png", f"{photos}/headfit-explain"]
    assert [Path(path).name for path in Inputs(names)] == [
        *("._1.jpg", "x.png", "0001-1-a.png", "sheet.png"),
    ]


@needs_posix
def test_links_and_pipes_are_treated_alike(photos: Path, tmp_path: Path) -> None:
    outside = touch(tmp_path / "outside", "4.jpg")
    (photos / "b/linked").symlink_to(outside)
    (photos / "b/5.jpg").symlink_to(outside / "4.jpg")
    (photos / "b/up").symlink_to(photos)
    os.mkfifo(photos / "b/6.jpg")
    os.mkfifo(photos / "list.txt")
    for follow in (True, False):
        index = ImageIndex.from_directory(photos, follow_links=follow)
        found = list(Inputs([str(photos)], follow))
        assert {Path(path).relative_to(photos).as_posix() for path in found} == set(index.paths)
        assert len(found) == (4 if follow else 3)
    assert list(Inputs([f"{photos}/list.txt"])) == [f"{photos}/list.txt"]
    with pytest.raises(UsageError, match="No images in the folder"):
        list(Inputs([str(touch(tmp_path / "none", "x.txt"))]))
