from __future__ import annotations

from collections import Counter

import pytest

from headfit.errors import DataError
from headfit.images.sources.layout import Layout, entries_of, read_layout
from headfit.images.sources.splits import split_roles
from headfit.images.sources.walk import EMPTY, Entry, why_not_image

NFC, NFD = "caf\u00e9", "cafe\u0301"


def entries(*names: str) -> list[Entry]:
    """Name entries by file; ``cat/3`` are three images."""
    found = []
    for name in names:
        folder, _, last = name.rpartition("/")
        if name.endswith("/"):
            found.append(Entry(name, EMPTY))
        elif last.isdecimal():
            found += [Entry(f"{folder}/{number}.jpg", None) for number in range(int(last))]
        else:
            found.append(Entry(name, why_not_image(name)))
    return found


def read(*names: str, **options: bool | None) -> Layout:
    return read_layout(entries(*names), "'photos'", **options)  # type: ignore[arg-type]


def counts(layout: Layout) -> dict[str, int]:
    pairs = zip(layout.labels, layout.splits, strict=True)
    return dict(Counter(f"{split} {label}" for label, split in pairs))


def refusal(*names: str, **options: bool | None) -> str:
    with pytest.raises(DataError) as caught:
        read(*names, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        ("Training Testing", "train test"),
        ("seg_train seg_test seg_pred", "train test test"),
        ("Train_Data val_images TestSet", "train validation test"),
        ("train2017 val2017", "train validation"),
        ("trainset valset", "train validation"),
        ("training dev eval", "train validation test"),
        ("Validation valid", "validation validation"),
        ("flowers_train flowers_val bus", "train validation -"),
        ("train train_masks", "train -"),
        ("train_station test_tube", "- -"),
        ("pretraining contest", "- -"),
    ],
)
def test_names_of_splits_are_recognised(names, roles):
    found = split_roles(names.split())
    assert [found.get(name, "-") for name in names.split()] == roles.split()


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("Train_Data/images", "test/images"),
    ],
)
def test_folders_named_like_splits_are_splits(train, test):
    layout = read(f"{train}/cat/2", f"{train}/dog/3", f"{test}/cat/1", f"{test}/dog/1")
    assert counts(layout) == {"train cat": 2, "test cat": 1, "train dog": 3, "test dog": 1}
    (note,) = layout.notes
    assert note.startswith("Read as splits: ")


@pytest.mark.parametrize(
    "test", ["test/4", "test/unknown/4", "test/test/4", "pred/images/4", "seg_pred/seg_pred/4"]
)
def test_images_without_labels_beside_training_images_are_no_class(test):
    train = "seg_train/seg_train" if "seg" in test else "train"
    layout = read(f"{train}/cat/2", f"{train}/dog/2", test)
    assert counts(layout) == {"train cat": 2, "train dog": 2}
    assert len(layout.unlabelled) == 4
    assert "(no labels)" in layout.notes[0]


def test_a_test_folder_of_one_class_is_labelled():
    layout = read("train/cat/2", "train/dog/2", "test/cat/1")
    assert counts(layout)["test cat"] == 1
    assert layout.unlabelled == []


@pytest.mark.parametrize("further", ["extra/masks/3", "masks/cat/3", "unsorted/3"])
def test_a_further_folder_does_not_turn_splits_into_classes(further):
    layout = read("train/cat/2", "train/dog/2", "val/cat/1", "test/dog/1", further)
    assert set(layout.splits) == {"train", "validation", "test"}
    assert set(layout.labels) == {"cat", "dog"}
    (left,) = layout.skipped
    assert (left.path, left.reason) == (further.split("/")[0], "lies beside the splits, 3 images")


def test_splits_inside_of_classes_are_splits():
    layout = read("cat/train/2", "cat/test/1", "dog/train/2", "dog/Testing/1", "dog/rest/1")
    assert counts(layout) == {"train cat": 2, "test cat": 1, "train dog": 2, "test dog": 1}
    assert [each.path for each in layout.skipped] == ["dog/rest"]


def test_splits_inside_of_folders_that_hold_folders_of_their_own_are_refused():
    names = [f"site{s}/{split}/{c}/1" for s in "AB" for split in ("train", "test") for c in "xy"]
    said = refusal(*names)
    assert "If the classes are 'x', 'y', give a folder that holds one set of splits" in said
    assert counts(read(*names, splits=True))["test siteA"] == 2
    assert counts(read(*names, splits=False)) == {"train siteA": 4, "train siteB": 4}


def test_a_means_of_transport_is_a_class():
    assert counts(read("train/2", "bus/3")) == {"train train": 2, "train bus": 3}


AMBIGUOUS = {
    ("siteA/cat/2", "siteA/dog/2", "siteB/cat/1", "siteB/dog/1"): (
        {"train siteA": 4, "train siteB": 2},
        {"train cat": 3, "train dog": 3},
    ),
    ("train/steam/2", "train/diesel/2", "bus/city/3", "car/van/3"): (
        {"train train": 4, "train bus": 3, "train car": 3},
        {"train steam": 2, "train diesel": 2},
    ),
    ("cat/2", "dog/3", "test/4"): (
        {"train cat": 2, "train dog": 3, "train test": 4},
        {"train cat": 2, "train dog": 3},
    ),
    ("cat/2", "dog/3", "val/cat/1", "val/dog/1"): (
        {"train cat": 2, "train dog": 3, "train val": 2},
        {"train cat": 2, "train dog": 3, "validation cat": 1, "validation dog": 1},
    ),
}


@pytest.mark.parametrize("names", AMBIGUOUS)
def test_two_readings_are_both_named_and_can_both_be_chosen(names):
    said = refusal(*names)
    assert "can be read in two ways" in said
    assert "`splits=False`" in said
    assert "`splits=True`" in said
    as_classes, as_splits = AMBIGUOUS[names]
    assert counts(read(*names, splits=False)) == as_classes
    assert counts(read(*names, splits=True)) == as_splits
    for reading in (as_classes, as_splits):
        for name in reading:
            assert f"'{name.split()[1]}'" in said


def test_the_refusal_tells_both_readings():
    assert refusal("siteA/cat/2", "siteA/dog/2", "siteB/cat/1", "siteB/dog/1") == (
        "The folders in 'photos' can be read in two ways. As the classes 'siteA' (4), 'siteB' (2): "
        "choose this with `splits=False`. As the splits 'siteA' (train), 'siteB' (train), with the "
        "classes 'cat' (3), 'dog' (3): choose this with `splits=True`."
    )


@pytest.mark.parametrize(
    "names", [("train/3", "test/3"), ("train/3",), ("test/3", "val/3"), ("train/3", "test/cat/2")]
)
def test_splits_of_nothing_are_refused_unless_they_are_meant_as_classes(names):
    said = refusal(*names)
    assert "`splits=False`" in said
    assert set(read(*names, splits=False).labels) == {name.split("/")[0] for name in names}


def test_sub_folders_that_say_nothing_are_no_classes():
    layout = read("cat/images/2", "cat/raw/1", "dog/images/2", "dog/raw/1")
    assert set(layout.labels) == {"cat", "dog"}
    assert set(read("ill/p1/2", "ill/p2/2", "well/p3/2", "well/p4/1").labels) == {"ill", "well"}


def test_two_spellings_of_one_name_are_one_class():
    layout = read(f"train/{NFC}/2", "train/box/2", f"test/{NFD}/1", "test/box/1")
    assert counts(layout)[f"test {NFC}"] == 1
    assert f"test/{NFD}/0.jpg" in layout.paths


def test_classes_that_differ_by_case_between_splits_are_named():
    said = refusal("train/Disc/2", "train/Box/2", "test/disc/1", "test/Box/1")
    assert "'Disc' (train) and 'disc' (test) differ by upper and lower case only" in said
    assert set(read("train/a/2", "train/A/2", "test/a/1").labels) == {"a", "A"}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("cat/2", "dog/2", "cow/"), "'cow' (1 × an empty folder)"),
        (("cat/2", "dog/2", "cow/a.DNG"), "'cow' (1 × not an image by its suffix '.DNG')"),
        (("train/cat/2", "train/dog/2", "train/cow/"), "'cow'"),
        (("cat/2", "dog/2", "masks/a.dng"), "'masks'"),
    ],
)
def test_a_class_without_images_stops_the_run_unless_it_may_be_left_out(names, said):
    assert said in refusal(*names)
    assert "`skip_empty_classes=True`" in refusal(*names)
    layout = read(*names, skip_empty_classes=True)
    assert set(layout.labels) == {"cat", "dog"}
    assert "a folder without images, so not a class" in [each.reason for each in layout.skipped]


def test_a_folder_for_results_is_no_lost_class():
    assert set(read("cat/2", "dog/2", "headfit-run/").labels) == {"cat", "dog"}


def test_a_folder_of_documents_is_no_lost_class():
    layout = read("cat/2", "dog/2", "docs/README.md", "docs/labels.csv")
    assert [each.path for each in layout.skipped] == ["docs", "docs/README.md", "docs/labels.csv"]


def test_an_emptied_class_is_left_out_of_all_splits():
    layout = read(
        "train/a/2", "train/b/2", "train/c/x.dng", "test/c/2", "test/a/1", skip_empty_classes=True
    )
    assert set(layout.labels) == {"a", "b"}
    assert ("test/c", "its class has no training images") in [
        (each.path, each.reason) for each in layout.skipped
    ]


def test_what_is_passed_over_says_its_class():
    layout = read("train/cat/2", "train/cat/deep/x.dng", "train/dog/2", "notes.txt", "train/7.jpg")
    assert {each.path: each.label for each in layout.skipped} == {
        "train/cat/deep/x.dng": "cat",
        "notes.txt": "",
        "train/7.jpg": "",
    }


def test_an_archive_is_read_like_a_folder():
    names = [
        "photos/",
        "photos/cat/",
        "photos/cat/1.jpg",
        "photos/cat/._1.jpg",
        "__MACOSX/photos/cat/._1.jpg",
        "photos/.git/2.jpg",
        "photos/dog/1.jpg",
        "photos/cow/",
        "photos/headfit-run/results.json",
        "photos/headfit-run/heads/3.png",
        "photos/maps/sheet.png",
        "photos/maps/0001-tmp-cat.png",
        "photos/other/results.json",
    ]
    contents = {"photos/headfit-run/results.json": b'{\n  "schema": "headfit.results/1",'}
    found = entries_of(names, lambda name: contents.get(name, b"{}"))
    assert {entry.path: entry.reason for entry in found} == {
        "photos/headfit-run/": "written by headfit itself",
        "photos/maps/": "written by headfit itself",
        "photos/cat/1.jpg": None,
        "photos/dog/1.jpg": None,
        "photos/cow/": "an empty folder",
        "photos/other/results.json": "not an image by its suffix '.json'",
    }
    layout = read_layout(found, "'photos.zip'", unwrap=True, skip_empty_classes=True)
    assert (layout.labels, layout.paths) == (
        ("cat", "dog"),
        ("photos/cat/1.jpg", "photos/dog/1.jpg"),
    )


def test_a_million_names_take_no_recursion():
    deep = "/".join(["x"] * 3000)
    assert set(read(f"cat/{deep}/2", "dog/2").labels) == {"cat", "dog"}


def test_a_table_of_labels_beside_the_images_is_pointed_out():
    hint = "If the labels are in 'labels.csv', give that file."
    assert hint in refusal("train/3", "test/3", "labels.csv")
    with pytest.raises(DataError, match=r"outside of any.* give that file"):
        read_layout([*entries("labels.csv"), Entry("1.jpg", None)], "'photos'")
