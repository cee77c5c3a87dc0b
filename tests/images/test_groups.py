from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from headfit.errors import DataError, UsageError
from headfit.images import groups as module
from headfit.images.groups import groups_of, read_groups
from headfit.images.index import ImageIndex
from headfit.images.sources.folder import FolderSource
from headfit.images.targets import Targets

PATHS = ("cat/p1-a.png", "cat/p1-b.png", "cat/p2-a.png", "dog/p2-b.png", "dog/stray.png")


@pytest.fixture
def index(tmp_path):
    root = tmp_path / "photos"
    root.mkdir()
    return index_of(root, PATHS)


def index_of(root: Path, paths: tuple[str, ...]) -> ImageIndex:
    """Index files that need not exist, of the classes that their folders name."""
    targets = Targets.of_classes([path.split("/")[0] for path in paths])
    return ImageIndex(FolderSource(root), paths, targets, ("train",) * len(paths))


@pytest.fixture
def listed(tmp_path):
    """Write a CSV file and give its path."""

    def write(text: str, encoding: str = "utf-8") -> str:
        path = tmp_path / "groups.csv"
        path.write_bytes(text.encode(encoding))
        return str(path)

    return write


def rows(*groups: str, prefix: str = "", end: str = "\n") -> str:
    pairs = zip(PATHS, groups, strict=True)
    return end.join(["path,group", *(f"{prefix}{path},{group}" for path, group in pairs)]) + end


def test_a_file_gives_each_image_its_group(index, listed):
    found = read_groups(listed(rows("x", "x", "y", "x", "z")), index)
    assert (found.numbers.tolist(), found.names) == ([0, 0, 1, 0, 2], ("x", "y", "z"))
    assert found.unmatched == 0


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + rows("x", "x", "y", "x", "z"),
        rows("x", "x", "y", "x", "z", end="\r\n"),
        rows("x", "x", "y", "x", "z", prefix="./"),
        rows("x", "x", "y", "x", "z") + "cat/unknown.png,q\ncat/p1-a.png,x\n\n",
        rows("x", "x", "y", "x", "z").replace(",", ";"),
        rows("x", "x", "y", "x", "z").replace(",", "\t"),
        rows("x", "x", "y", "x", "z").replace("path,group", "Path,Group"),
        rows("x", "x", "y", "x", "z").replace("/", "\\"),
        rows("x", "x", "y", "x", "z", prefix="photos/"),
        "\n".join(
            ["note,group,path", *(f'"a, b",{g},{p}' for p, g in zip(PATHS, "xxyxz", strict=True))]
        ),
    ],
    ids=[
        "byte order mark",
        "Windows lines",
        "dots",
        "more rows",
        "semicolons",
        "tabs",
        "capitals",
        "back-slashes",
        "the folder",
        "more columns",
    ],
)
def test_the_form_of_the_file_does_not_matter(index, listed, text):
    assert read_groups(listed(text), index).numbers.tolist() == [0, 0, 1, 0, 2]


def test_a_file_of_excel_may_be_utf16(index, listed):
    found = read_groups(listed(rows("x", "x", "y", "x", "z"), "utf-16"), index)
    assert found.numbers.tolist() == [0, 0, 1, 0, 2]


def test_absolute_paths_are_those_below_the_folder_also_through_a_link(index, listed, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(index.source.location)
    linked = index_of(link, PATHS)
    text = listed(rows("x", "x", "y", "x", "z", prefix=f"{index.source.location}/"))
    for one in (index, linked):
        assert read_groups(text, one).numbers.tolist() == [0, 0, 1, 0, 2]


def test_names_that_are_not_utf8_are_found(listed, tmp_path):
    odd = os.fsdecode(b"cat/\xff.png")
    index = index_of(tmp_path, (odd,))
    path = Path(listed(""))
    path.write_bytes(b"path,group\ncat/\xff.png,\xc3\xbc\n")
    assert read_groups(str(path), index).names == ("ü",)


@pytest.mark.parametrize(
    ("expression", "numbers", "names", "unmatched"),
    [
        (r"p\d", [0, 0, 1, 1, 2], ("p1", "p2", PATHS[4]), 1),
        (r"/(p\d)-", [0, 0, 1, 1, 2], ("p1", "p2", PATHS[4]), 1),
        (r"(cat|dog)/(p\d)", [0, 0, 1, 2, 3], ("cat/p1", "cat/p2", "dog/p2", PATHS[4]), 1),
        (r"/(p\d)?", [0, 0, 1, 1, 2], ("p1", "p2", ""), 0),
        (r"^[^/]+", [0, 0, 0, 1, 1], ("cat", "dog"), 0),
    ],
)
def test_an_expression_names_the_groups(index, expression, numbers, names, unmatched):
    found = read_groups(expression, index)
    assert (found.numbers.tolist(), found.names) == (numbers, names)
    assert found.unmatched == unmatched


def test_captured_parts_are_not_run_together():
    paths = ("a/bc-d.png", "a/b-cd.png")
    index = index_of(Path("/x"), paths)
    assert read_groups(r"/(\w+)-(\w+)", index).numbers.tolist() == [0, 1]


def test_an_image_without_a_group_is_alone_even_if_a_group_is_named_like_it(index):
    paths = ("cat/1.png", "x/cat/1.png")
    index = index_of(Path("/x"), paths)
    assert read_groups(r"x/(.*)", index).numbers.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("p(1", "no such file, and as an expression it is not valid: missing"),
        ("(" * 9999 + ")" * 9999, "as an expression it is not valid"),
        ("a{99999999999}", "as an expression it is not valid"),
        ("groups.csv", "no path of 5 matches; the first is 'cat/p1-a.png'"),
        ("\0", r"Received: groups='\\x00'"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(index, expression, said):
    with pytest.raises(UsageError, match=said) as caught:
        read_groups(expression, index)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("", UsageError, "It has no column path and no column group"),
        ("path;group\na;b\n", DataError, "no group for 5 of 5 images"),
        ("path,patient\na,b\n", UsageError, "It has no column group; its"),
        (rows("x", "x", "y", "x", ""), DataError, "no group in row 6"),
        ("path,group\ncat/p1-a.png\n", DataError, "no group in row 2"),
        ("path,group\ncat/p1-b.png,x\n", DataError, "4 of 5 images, the first being 'cat"),
        (
            rows(*"xxyxz") + "./dog/stray.png,q\n",
            DataError,
            "into two groups, 'z' and 'q'. Keep",
        ),
        ("path,group\n" + "x" * 140_000 + ",y\n", DataError, "cannot be read as a table"),
    ],
)
def test_a_file_that_cannot_be_used_is_explained_in_one_line(index, listed, text, kind, said):
    with pytest.raises(kind, match=said) as caught:
        read_groups(listed(text), index)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == (2 if kind is UsageError else 1)


def test_groups_of_the_source_are_numbered_alike(index):
    assert groups_of(index) is None
    named = replace(index, groups=("x", None, "y", "x", "y"))
    groups = groups_of(named)
    assert (groups.numbers.tolist(), groups.names) == ([0, 1, 2, 0, 2], ("x", PATHS[1], "y"))
    assert groups.unmatched == 1


def test_an_absurdly_large_file_is_refused(index, listed, monkeypatch):
    text = rows(*"xxyxz")
    monkeypatch.setattr(module, "MAX_BYTES", len(text) - 1)
    with pytest.raises(DataError, match=f"has {len(text)} bytes, more than the"):
        read_groups(listed(text), index)


def test_a_folder_that_is_named_like_the_expression_is_no_file(index, monkeypatch):
    (Path(index.source.location) / "cat").mkdir()
    monkeypatch.chdir(Path(index.source.location))
    assert read_groups("cat", index).unmatched == 2
