"""Links in a folder, a table or a pattern lead no command out of what the user named."""

from __future__ import annotations

import csv
import os
import tarfile
from pathlib import Path

import pytest

import classifiers
import photos
from headfit.cli.main import main
from headfit.errors import DataError, ImageError, UsageError
from headfit.images.index import ImageIndex
from headfit.images.inputs import Inputs
from headfit.images.sources import find_source, open_source
from headfit.images.sources.dataset_rows import ELSEWHERE
from headfit.images.sources.links import LEADS_OUT, is_remote
from headfit.images.sources.once import CONTRADICTS, SAME
from photos import touch

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need a right on Windows")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Give a folder of a stranger's, with links into private/ beside it."""
    touch(tmp_path / "private", "passport.jpg", "deep/letter.jpg")
    root = touch(tmp_path / "photos", "a/1.jpg", "b/2.jpg")
    (root / "u").symlink_to(tmp_path / "private")
    (root / "a/p.jpg").symlink_to(tmp_path / "private/passport.jpg")
    (root / "b/deep").symlink_to("../../private/deep")
    return root


def index_of(root: Path, **options: bool) -> list[str]:
    return list(ImageIndex.from_directory(root, skip_empty_classes=True, **options).paths)


def inputs_of(*arguments: object, follow: bool = False) -> tuple[list[str], list[str]]:
    inputs = Inputs(list(map(str, arguments)), follow)
    return sorted(map(str, inputs)), inputs.left_out()


def test_what_lies_elsewhere_is_left_out_and_counted_unless_links_are_followed(foreign: Path):
    index = ImageIndex.from_directory(foreign, skip_empty_classes=True)
    assert index.paths == ("a/1.jpg", "b/2.jpg")
    assert index.notes == (
        f"3 links point outside '{foreign}' and are left out: 'a/p.jpg', 'b/deep', 'u'. If you "
        "trust what they point to, set `follow_links=True`.",
    )
    assert [each.path for each in index.skipped if each.reason == LEADS_OUT and each.is_told] == [
        *("a/p.jpg", "b/deep"),
    ]
    with pytest.raises(DataError, match=r"without images in .*'u' \(1 × a link that points"):
        ImageIndex.from_directory(foreign)
    follow = index_of(foreign, follow_links=True)
    assert follow == ["a/1.jpg", "b/2.jpg", "b/deep/letter.jpg"]  # the passport has two classes


def test_where_everything_is_a_link_the_error_names_the_option(tmp_path: Path):
    store = touch(tmp_path / "store", "cat/1.jpg", "dog/2.jpg")
    root = tmp_path / "photos"
    root.mkdir()
    for name in ("cat", "dog"):
        (root / name).symlink_to(store / name)
    with pytest.raises(DataError, match=r"No images in .*2 × a link that points out.*follow_links"):
        ImageIndex.from_directory(root)
    assert index_of(root, follow_links=True) == ["cat/1.jpg", "dog/2.jpg"]
    with pytest.raises(UsageError, match=r"No images in .*2 links point out.*`follow_links=True`"):
        inputs_of(root)
    with pytest.raises(UsageError, match=r"matches no file\. 2 links point outside.*follow_links"):
        inputs_of(f"{root}/*")
    assert len(inputs_of(f"{root}/*", follow=True)[0]) == 2
    (root / "cat").unlink()
    touch(root, "cat/1.jpg")
    with pytest.raises(DataError, match=r"Classes without images in .*'dog'.*`follow_links=True`"):
        ImageIndex.from_directory(root)
    with pytest.raises(DataError, match=r"Only one class in .*`follow_links=True`"):
        index_of(root)


def test_a_store_beside_the_links_needs_no_option(tmp_path: Path):
    """As git-annex has it; and the root may be a link itself."""
    root = touch(tmp_path / "real", ".git/annex/x1", ".git/annex/x2", "cat/0.jpg")
    for name, key in (("cat/1.jpg", "x1"), ("dog/2.jpg", "x2")):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).symlink_to(f"../.git/annex/{key}")
    (tmp_path / "photos").symlink_to(root)
    assert index_of(tmp_path / "photos") == ["cat/0.jpg", "cat/1.jpg", "dog/2.jpg"]
    (root / "dog/3.jpg").symlink_to(tmp_path / "photos/.git/annex/x1")
    assert index_of(tmp_path / "photos" / ".") == ["cat/0.jpg", "dog/2.jpg"]


def test_splits_of_links_into_a_pool_within_the_folder_are_read(tmp_path: Path):
    root = touch(tmp_path, *(f"images/{number}.jpg" for number in range(6)))
    for number, name in enumerate(("train/a", "train/b", "test/a", "test/b")):
        (root / name).mkdir(parents=True)
        (root / name / "x.jpg").symlink_to(root / f"images/{number}.jpg")
    index = ImageIndex.from_directory(root)
    assert index.paths == ("test/a/x.jpg", "train/a/x.jpg", "test/b/x.jpg", "train/b/x.jpg")
    assert not any("link" in note for note in index.notes)


def test_each_file_is_one_image_and_none_of_two_classes(tmp_path: Path):
    root = touch(tmp_path, "cat/1.jpg", "cat/2.jpg", "dog/3.jpg", "dog/4.jpg")
    (root / "cat/0.jpg").symlink_to("1.jpg")
    (root / "dog/2.jpg").symlink_to("../cat/2.jpg")
    index = ImageIndex.from_directory(root)
    assert index.paths == ("cat/1.jpg", "dog/3.jpg", "dog/4.jpg")
    assert {each.path: (each.reason, each.label) for each in index.skipped} == {
        "cat/0.jpg": (SAME, "cat"),
        "cat/2.jpg": (CONTRADICTS, "cat"),
        "dog/2.jpg": (CONTRADICTS, "dog"),
    }
    names, left_out = inputs_of(root)
    assert [Path(name).name for name in names] == ["1.jpg", "2.jpg", "3.jpg", "4.jpg"]
    assert not left_out
    (root / "owl").mkdir()
    (root / "owl/3.jpg").symlink_to("../dog/3.jpg")
    with pytest.raises(DataError, match=r"without images of their own .*'owl'.*into other classes"):
        ImageIndex.from_directory(root)


@pytest.mark.parametrize("pattern", ["**", "**/*", "**/*.jpg", "*/**/**/*.jpg", "*/*.jpg", "*", ""])
def test_patterns_end_and_lead_to_what_the_folder_holds(foreign: Path, pattern: str):
    for number in range(3):  # each doubles what a glob follows, 40 levels deep
        (foreign / f"a/up{number}").symlink_to(foreign)
        (foreign / f"a/side{number}").symlink_to("../b")
    names, left_out = inputs_of(f"{foreign}/{pattern}")
    assert [Path(name).relative_to(foreign).as_posix() for name in names] == ["a/1.jpg", "b/2.jpg"]
    assert any("point outside" in note or "points outside" in note for note in left_out)
    names, _ = inputs_of(f"{foreign}/{pattern}", follow=True)
    count = 3 if pattern == "*/*.jpg" else 4
    assert len(names) == len(set(map(os.path.realpath, names))) == count


def test_links_that_lead_to_no_image_are_not_counted(foreign: Path, tmp_path: Path):
    for name in ("README", "lib.so"):
        (foreign / "a" / name).symlink_to(touch(tmp_path, name) / name)
    (foreign / "a/above").symlink_to("../..")
    for argument in (foreign, f"{foreign}/**/*.jpg"):
        (note,) = inputs_of(argument)[1]
        assert note.startswith("3 links point outside")
    assert (
        ImageIndex.from_directory(foreign, skip_empty_classes=True).notes[0].startswith("3 links")
    )


def test_links_that_a_pattern_would_not_match_are_not_counted(foreign: Path, tmp_path: Path):
    (foreign / "top.txt").symlink_to(touch(tmp_path, "top.txt") / "top.txt")
    touch(foreign, "b/2.png", "b/c/3.png")
    for pattern, count in {"**/*.png": 2, "*/*.png": 1, "*/*.jpg": 2, "*.txt": 1}.items():
        try:
            (note,) = inputs_of(f"{foreign}/{pattern}")[1]
        except UsageError as error:  # nothing else matches
            note = str(error).partition("matches no file. ")[2]
        assert note.startswith(f"{count} link"), pattern


def test_patterns_match_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path, "a1.jpg", "a[1].jpg", "b/c/d.jpg", "b/.hidden.jpg", ".h/e.jpg", "b/x.jpeg")
    (tmp_path / "l").symlink_to("b")
    monkeypatch.chdir(tmp_path)
    for pattern, expected in {
        "./a?.jpg": ["./a1.jpg"],
        "a[[]1].jpg": ["a[1].jpg"],
        "b/*/d.jpg": ["b/c/d.jpg"],
        "l/*/*.jpg": ["l/c/d.jpg"],
        "*/../a1.j*": [],
        "b/x.j*g": ["b/x.jpeg"],
        ".h/*.jpg": [".h/e.jpg"],
        "**/*.jpg": ["a1.jpg", "a[1].jpg", "b/c/d.jpg"],
        "b*/": ["b/c/d.jpg", "b/x.jpeg"],
    }.items():
        if expected:
            assert inputs_of(pattern)[0] == expected, pattern
        else:
            with pytest.raises(UsageError, match="matches no file"):
                inputs_of(pattern)


def test_rows_of_a_table_do_not_leave_through_a_link(foreign: Path, tmp_path: Path):
    rows = [("a/1.jpg", "a"), ("b/2.jpg", "b"), ("u/passport.jpg", "a"), ("a/p.jpg", "b")]
    rows += [(str(tmp_path / "private/passport.jpg"), "a"), ("../private/passport.jpg", "b")]
    table = foreign / "all.csv"
    table.write_text("path,label\n" + "".join(f"{path},{label}\n" for path, label in rows))
    index = ImageIndex.from_table(table)
    assert index.paths == ("a/1.jpg", "b/2.jpg")
    assert "2 × a link that points outside the folder (row 4 'u/pass" in index.notes[0]
    assert "2 × a path outside the root" in index.notes[0]
    assert "`follow_links=True`" in index.notes[-1]
    (foreign / "a/p.jpg").unlink()
    assert "u/passport.jpg" in ImageIndex.from_table(table, follow_links=True).paths
    table.write_text("path,label\nu/passport.jpg,a\nu/deep/letter.jpg,b\n")
    with pytest.raises(DataError, match=r"2 × a link that points outside.*set `follow_links=True`"):
        ImageIndex.from_table(table)
    inputs = Inputs([str(table)])
    assert len(list(inputs)) == 2
    assert "2 links point outside" in inputs.left_out()[0]


def test_a_list_of_paths_from_elsewhere_opens_nothing_through_a_link(foreign: Path):
    """As predictions.csv of a run from elsewhere does for the page."""
    source = open_source(foreign)
    assert source.read_bytes("a/1.jpg") == b""
    for path in ("u/passport.jpg", "a/p.jpg", "b/deep/letter.jpg", "../private/passport.jpg"):
        with pytest.raises(ImageError, match=LEADS_OUT):
            source.read_bytes(path)
    followed = find_source(open_source(foreign, follow_links=True).to_dict())
    assert followed is not None
    assert followed.read_bytes("u/passport.jpg") == b""


@pytest.mark.slow
def test_a_data_set_reads_no_file_elsewhere(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    (foreign / "u").unlink()
    index = ImageIndex.from_source(open_source(f"hf:{foreign}"))
    reasons = []
    for row in range(len(index)):
        try:
            index.read_bytes(row)
        except ImageError as error:
            reasons.append((index.paths[row], str(error)))
    assert ("a/p.jpg", ELSEWHERE) in reasons
    assert {path for path, _ in reasons}.isdisjoint({"a/1.jpg", "b/2.jpg"})
    followed = open_source(f"hf:{foreign}", follow_links=True)
    assert ImageIndex.from_source(followed).source.read_bytes("a/p.jpg") == b""


def test_an_archive_says_which_links_it_leaves_out(tmp_path: Path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name in ("a/1.jpg", "b/2.jpg"):
            archive.addfile(tarfile.TarInfo(name))
        link = tarfile.TarInfo("a/3.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path / "private.jpg")
        archive.addfile(link)
    assert ImageIndex.from_archive(tmp_path / "a.tar").notes == (
        f"1 link in '{tmp_path / 'a.tar'}' is left out: 'a/3.jpg'. To use what they point to, "
        "unpack the archive and give the folder.",
    )


def test_a_user_names_any_file(foreign: Path):
    paths = [foreign / "a/p.jpg", foreign / "u/deep/letter.jpg"]
    index = ImageIndex.from_paths(paths, ["a", "b"])
    assert [index.read_bytes(row) for row in range(2)] == [b"", b""]
    assert inputs_of(*paths) == (sorted(map(str, paths)), [])


def test_another_machine_is_known_by_its_name():
    names = (r"\\host\share", "//host/share/x", r"/\host\x", r"\\?\UNC\host\x", r"\\?\unc\h\s")
    assert all(map(is_remote, names))
    assert not any(map(is_remote, (r"C:\a", r"..\a", r"\\?\C:\a", "/a/b", r"\a")))


@pytest.mark.slow
def test_commands_say_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    root = photos.write_folder(tmp_path / "photos", 1)
    (root / "red/out.jpg").symlink_to(photos.write_folder(tmp_path / "store", 1) / "red/00.jpg")
    model = str(classifiers.random_classifier("gap", tmp_path / "model.keras"))
    said = f"1 link points outside '{root}' and is left out: 'red/out.jpg'."
    for out in ([], ["--out", str(tmp_path / "predicted.csv")]):
        assert main(["predict", model, str(root), *out]) == 0
        error = capsys.readouterr().err
        assert f"{said} If you trust what they point to, set --follow-links." in error
    with (tmp_path / "predicted.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 3
    (root / "usr").symlink_to("/usr")
    assert main(["compare", str(root)]) == 1
    assert "'usr' (1 × a link that points outside the folder)" in capsys.readouterr().err
