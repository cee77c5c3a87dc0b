from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from headfit.images.sources.links import LEADS_OUT, Links
from headfit.images.sources.walk import OWN, walk
from photos import touch

needs_posix = pytest.mark.skipif(os.name == "nt", reason="links and FIFOs are posix")


def found(root: Path, *, follow_links: bool = True) -> dict[str, str | None]:
    return {entry.path: entry.reason for entry in walk(root, Links(root, follow_links))}


def test_clutter_is_passed_over_in_silence(tmp_path):
    touch(tmp_path, "a/1.jpg", "a/._1.jpg", "a/.ipynb_checkpoints/1.jpg", "__MACOSX/a/._1.jpg")
    touch(tmp_path, "a/Thumbs.db", ".DS_Store", "Desktop.ini")
    assert found(tmp_path) == {"a/1.jpg": None}


def test_own_output_is_recognised_by_its_files_wherever_it_lies(tmp_path):
    touch(tmp_path, "a/1.jpg", "run/x.png", "b/old/model.keras", "b/old/report.html", "b/2.png")
    touch(tmp_path, "maps/sheet.png", "maps/0001-1-a.png", "c/sheet.png", "c/results.json")
    (tmp_path / "run/results.json").write_text('{\n  "schema": "headfit.results/2",')
    (tmp_path / "b/half").mkdir()
    signed = PngInfo()
    signed.add_text("Software", "headfit")
    Image.new("RGB", (9, 9)).save(tmp_path / "b/half/0001-1-a.png", pnginfo=signed)
    touch(tmp_path, "a/0001-1-a.png")
    (tmp_path / "c/results.json").write_text('{"schema": "other/1"}')
    assert [path for path, reason in found(tmp_path).items() if reason == OWN] == [
        "b/half/",
        "b/old/",
        "maps/",
        "run/",
    ]
    assert found(tmp_path)["c/sheet.png"] is None
    assert found(tmp_path / "maps") == {"0001-1-a.png": None, "sheet.png": None}


@needs_posix
def test_a_folder_is_read_once_and_links_never_lead_round_in_a_circle(tmp_path):
    outside = touch(tmp_path / "store", "x/1.jpg", "y/2.jpg")
    root = touch(tmp_path / "root", "a/1.jpg", ".hidden/3.jpg")
    (outside / "x/up").symlink_to(outside)
    (root / "a/above").symlink_to(tmp_path)
    (root / "a/root").symlink_to(root)
    (root / "b").symlink_to("a")
    (root / "c").symlink_to(outside)
    (root / "d").symlink_to(outside / "y")
    (root / "e").symlink_to(".hidden")
    (root / "f.jpg").symlink_to("a/1.jpg")
    (root / "g.jpg").symlink_to("nowhere.jpg")
    elsewhere = "points to a folder that is read elsewhere"
    assert found(root) == {
        "a/1.jpg": None,
        "a/above/": elsewhere,
        "a/root/": elsewhere,
        "b/": elsewhere,
        "c/x/1.jpg": None,
        "c/x/up/": elsewhere,
        "c/y/2.jpg": None,
        "d/": elsewhere,
        "e/3.jpg": None,
        "f.jpg": None,
        "g.jpg": "broken link",
    }
    assert found(root, follow_links=False) == {
        "a/1.jpg": None,
        "a/above/": elsewhere,
        "a/root/": elsewhere,
        "b/": elsewhere,
        "c/": LEADS_OUT,
        "d/": LEADS_OUT,
        "e/3.jpg": None,
        "f.jpg": None,
        "g.jpg": "broken link",
    }


@needs_posix
def test_pipes_are_never_opened(tmp_path):
    touch(tmp_path, "a/1.jpg")
    os.mkfifo(tmp_path / "a/2.jpg")
    os.mkfifo(tmp_path / "a/results.json")
    (tmp_path / "a/3.jpg").symlink_to("2.jpg")
    (tmp_path / "a/4.jpg").symlink_to("/dev/zero")
    assert found(tmp_path) == {
        "a/1.jpg": None,
        "a/2.jpg": "not a regular file",
        "a/3.jpg": "not a regular file",
        "a/4.jpg": "not a regular file",
        "a/results.json": "not an image by its suffix '.json'",
    }
