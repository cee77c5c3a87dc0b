from __future__ import annotations

import io
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headfit.errors import DataError, UnknownNameError, UsageError, WriteError
from headfit.images.index import ImageIndex
from headfit.images.sources import open_source
from headfit.samples import digits, elpv, shapes, targets
from headfit.samples import folder as folders
from headfit.samples.catalog import SAMPLES, find_sample, names, write_sample

QUADRANTS = ("bottom-left", "bottom-right", "top-left", "top-right")
# name -> classes, images to train and to test
EXPECTED = {
    "solar-cells": (("defective", "functional"), 1968, 656),
    "digits": (tuple("0123456789"), 1347, 450),
    "where": (QUADRANTS, 480, 160),
    "what": (("checks", "dots", "rings", "stripes"), 480, 160),
}
NAMED = (*targets.FORMS, *targets.HUES)
TABLES = {"position": ("x", "y"), "labels": tuple(sorted(NAMED))}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write each data set once for all tests."""
    root = tmp_path_factory.mktemp("samples")

    def write(name: str) -> Path:
        if name == "solar-cells":
            pytest.importorskip("elpv_dataset")
        return write_sample(name, root / name)

    return write


@pytest.fixture
def few(monkeypatch):
    """Let the generated data sets be small."""
    monkeypatch.setattr(shapes, "PER_CLASS", {"train": 2, "test": 1})
    monkeypatch.setattr(targets, "COUNTS", {"train": 4, "test": 1})


def bytes_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_catalog_is_complete():
    assert names() == tuple(SAMPLES) == (*EXPECTED, *TABLES)
    assert all(sample.name == name for name, sample in SAMPLES.items())
    assert all(sample.title and sample.licence and sample.notes for sample in SAMPLES.values())


@pytest.mark.parametrize("name", EXPECTED)
def test_the_index_reads_all_of_it(written, name):
    classes, train, test = EXPECTED[name]
    index = ImageIndex.from_directory(written(name))
    assert index.skipped == ()
    assert index.classes == classes
    assert Counter(index.splits) == {"train": train, "test": test}
    # The name of a file tells the image in the two real sets; a generated image is in one place.
    files = [Path(path).name if name in {"solar-cells", "digits"} else path for path in index.paths]
    assert len(set(files)) == len(files)


@pytest.mark.parametrize("name", ["where", "what"])
def test_generated_images_are_all_different_and_alike_in_number(written, name):
    index = ImageIndex.from_directory(written(name))
    assert len({index.read_bytes(i) for i in range(len(index))}) == len(index)
    assert set(index.counts().values()) == {160}
    with Image.open(io.BytesIO(index.read_bytes(0))) as image:
        assert (image.size, image.mode, image.format) == ((224, 224), "RGB", "JPEG")


def test_published_figures_come_with_their_caveat():
    sample = find_sample("ELPV")
    text = " ".join(sample.notes)
    assert sample is find_sample("solar-cells")
    assert "82.4 %" in text
    assert "88.4 %" in text
    assert "split and protocol differ" in text
    assert "NC-SA" in sample.licence


def test_solar_cells_are_the_photographs_of_the_package(written):
    folder = written("solar-cells")
    source = Path(*pytest.importorskip("elpv_dataset").__path__) / "data"
    rows = [line.split() for line in (source / "labels.csv").read_text().splitlines()]
    for path, probability, _ in rows[::97]:
        label = "defective" if float(probability) > 0.5 else "functional"
        (found,) = folder.rglob(Path(path).name)
        assert found.parent.name == label
        assert found.read_bytes() == (source / path).read_bytes()
    assert ImageIndex.from_directory(folder).counts() == {"defective": 821, "functional": 1803}
    in_test = {path.name for path in folder.glob("test/*/*.png")}
    for stratum in {(probability, module) for _, probability, module in rows}:
        cells = [Path(path).name in in_test for path, *rest in rows if tuple(rest) == stratum]
        assert sum(cells) == pytest.approx(len(cells) / 4, abs=1), stratum


@pytest.mark.parametrize("name", ["solar-cells", "digits"])
def test_another_seed_is_another_split(written, name, tmp_path):
    first, other = written(name), write_sample(name, tmp_path / "other", seed=1)
    one, two = ({path.name for path in at.glob("test/*/*")} for at in (first, other))
    assert len(one) == len(two)
    assert one != two


def table_of(folder: Path, name: str, **options: str) -> ImageIndex:
    sample = find_sample(name)
    source = open_source(folder / sample.table, **{**sample.read, **options})
    return ImageIndex.from_source(source)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_targets_is_read_whole(written, name):
    index = table_of(written(name), name)
    assert index.classes == TABLES[name]
    assert Counter(index.splits) == {"train": 240, "test": 60}
    assert (index.skipped, index.notes) == ((), ())
    assert len({index.read_bytes(row) for row in range(len(index))}) == len(index)


def test_the_colour_of_a_disc_does_not_tell_its_position(written):
    place = table_of(written("position"), "position")
    colour = table_of(written("position"), "position", label_column="colour")
    assert colour.paths == place.paths
    assert colour.classes == ("colour",)
    together = np.corrcoef(np.hstack([place.labels, colour.labels]).T)
    assert np.abs(together[2, :2]).max() < 0.15
    assert (place.labels.min(axis=0) < 30).all()
    assert (place.labels.max(axis=0) > 194).all()


def test_each_label_is_in_a_third_of_the_images_and_some_have_none(written):
    index = table_of(written("labels"), "labels")
    assert all(0.25 < count / 300 < 0.5 for count in index.counts().values())
    assert 12 < (~index.targets.mentions.any(axis=1)).sum() < 60


def test_a_disc_is_where_the_table_says(written):
    index = table_of(written("position"), "position")
    for row in range(0, len(index), 40):
        with Image.open(io.BytesIO(index.read_bytes(row))) as image:
            pixels = np.asarray(image).astype(float)
        coloured = pixels.max(axis=2) - pixels.min(axis=2) > 90
        y, x = (np.flatnonzero(coloured.any(axis=axis)) for axis in (1, 0))
        centre = [(x[0] + x[-1]) / 2, (y[0] + y[-1]) / 2]
        assert np.abs(centre - index.labels[row]).max() < 4


@pytest.mark.parametrize("name", ["where", "what", *TABLES])
def test_a_seed_fixes_every_byte(few, name, tmp_path):
    one, same, other = (
        bytes_of(write_sample(name, tmp_path / str(number), seed=seed))
        for number, seed in enumerate((3, 3, 4))
    )
    assert len(one) == (5 + 2 if name in TABLES else 4 * 3 + 1)
    assert one == same
    assert all(one[path] != other[path] for path in one)


@pytest.mark.parametrize("name", ["solar-cells", "digits"])
def test_a_seed_fixes_the_split(written, name, tmp_path):
    again = write_sample(name, tmp_path / "again")
    assert bytes_of(again) == bytes_of(written(name))


def test_digits_keep_their_values():
    ink = np.add.outer(np.arange(8.0), np.linspace(0, 8, 8))  # differs along both axes
    small = digits._picture(ink).resize((8, 8), Image.Resampling.BOX)
    assert np.abs(np.asarray(small) - ink * 255 / 16).max() < 8
    assert (np.asarray(digits._picture(np.full((8, 8), 16.0))) == 255).all()


def test_where_the_place_alone_tells_the_class():
    discs = list(shapes.plan("where", 0))
    for path, disc in discs:
        quadrant = f"{'top' if disc.y < 112 else 'bottom'}-{'left' if disc.x < 112 else 'right'}"
        assert path.split("/")[1] == quadrant
        assert min(abs(disc.x - edge) for edge in (0, 112, 224)) > disc.radius
        assert min(abs(disc.y - edge) for edge in (0, 112, 224)) > disc.radius
    patterns = {name: np.zeros(4, int) for name in shapes.PATTERNS}
    for path, disc in discs:
        patterns[disc.pattern][QUADRANTS.index(path.split("/")[1])] += 1
    assert all(15 < count < 65 for counts in patterns.values() for count in counts)


@pytest.mark.parametrize("task", ["where", "what"])
def test_mean_colours_do_not_tell_the_class(written, task):
    index = ImageIndex.from_directory(written(task))
    means = []
    for i in range(len(index)):
        with Image.open(io.BytesIO(index.read_bytes(i))) as image:
            means.append(np.asarray(image).mean((0, 1)))
    assert scores_on_test(np.array(means), index.labels, index.splits).max() < 0.4


def test_in_what_the_place_does_not_tell_the_class():
    planned = list(shapes.plan("what", 0))
    labels = np.array([path.split("/")[1] for path, _ in planned])
    splits = tuple(path.split("/")[0] for path, _ in planned)
    places = np.array([(disc.x, disc.y, disc.radius) for _, disc in planned])
    assert (labels == [disc.pattern for _, disc in planned]).all()
    assert scores_on_test(places, labels, splits).max() < 0.4
    assert (places[:, :2].min(0) < 45).all()
    assert (places[:, :2].max(0) > 180).all()


def scores_on_test(values: np.ndarray, labels: np.ndarray, splits: tuple[str, ...]) -> np.ndarray:
    """Accuracy of a linear and of a neighbour classifier, learnt on train."""
    train = np.array(splits) == "train"
    models = (LogisticRegression(), KNeighborsClassifier(15))
    fitted = [
        make_pipeline(StandardScaler(), model).fit(values[train], labels[train]) for model in models
    ]
    return np.array([model.score(values[~train], labels[~train]) for model in fitted])


def test_a_complete_folder_is_reused(few, tmp_path, monkeypatch):
    folder = write_sample("where", tmp_path / "deep" / "er")
    assert folder == tmp_path / "deep" / "er"
    monkeypatch.setattr(shapes, "render", None)  # nothing is drawn again
    assert write_sample("where", folder) == folder
    assert [path.name for path in folder.parent.iterdir()] == ["er"]


def test_an_empty_folder_is_filled(few, tmp_path):
    (tmp_path / "empty").mkdir()
    assert len(ImageIndex.from_directory(write_sample("what", tmp_path / "empty"))) == 12


def test_other_content_is_never_overwritten(few, tmp_path):
    folder = write_sample("where", tmp_path / "where")
    before = bytes_of(folder)
    with pytest.raises(UsageError, match=r"holds other images \(where, seed 0, recipe 1; wanted"):
        write_sample("where", folder, seed=1)
    with pytest.raises(UsageError, match="wanted: what, seed 0"):
        write_sample("what", folder)
    assert bytes_of(folder) == before
    with pytest.raises(UsageError, match="holds other files"):
        write_sample("what", tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        write_sample("what", folder / "train/top-left/0000.jpg")


def test_lost_images_are_noticed(few, tmp_path):
    folder = write_sample("where", tmp_path / "where")
    (folder / "train/top-left/0000.jpg").unlink()
    with pytest.raises(UsageError, match="no longer holds the 12 images"):
        write_sample("where", folder)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_write_leaves_nothing(few, tmp_path, monkeypatch, error):
    real, calls = shapes.render, []

    def render(*args):
        calls.append(args)
        if len(calls) == 5:
            raise error
        return real(*args)

    monkeypatch.setattr(shapes, "render", render)
    with pytest.raises(error):
        write_sample("where", tmp_path / "where")
    assert list(tmp_path.iterdir()) == []
    assert write_sample("where", tmp_path / "where").is_dir()


def test_a_full_disk_is_a_write_error(few, tmp_path, monkeypatch):
    def save(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(WriteError, match="No space left on device") as caught:
        write_sample("where", tmp_path / "where")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_parent_that_is_a_file_is_a_write_error(few, tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(WriteError, match="Cannot write"):
        write_sample("where", tmp_path / "file" / "where")


def test_remains_of_a_killed_run_are_removed_once_old(few, tmp_path):
    old, young = (tmp_path / f".tmp-{digit * 32}" for digit in "01")
    for path in (old, young):
        (path / "train").mkdir(parents=True)
    os.utime(old, (0, 0))
    write_sample("where", tmp_path / "where")
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, "where"]


def test_whoever_loses_a_race_takes_the_winners_folder(tmp_path):
    folder = tmp_path / "raced"

    def fill_slowly(empty: Path) -> None:
        (empty / "b.png").write_bytes(b"loser")
        if not folder.exists():
            folders.write_whole(folder, "x", lambda at: (at / "a.png").write_bytes(b"winner"))

    assert folders.write_whole(folder, "x", fill_slowly) == folder
    assert [path.name for path in folder.glob("*.png")] == ["a.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["raced"]


def test_an_unknown_name_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match=r"data set 'digit'\. Did you mean 'digits'"):
        write_sample("digit", Path("never"))
    with pytest.raises(UnknownNameError, match="Did you mean 'solar-cells'"):
        find_sample("solarcells")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_an_impossible_seed_is_refused(tmp_path, seed):
    with pytest.raises(UsageError, match="`seed` must be a whole number"):
        write_sample("digits", tmp_path / "digits", seed=seed)


def test_a_missing_package_names_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "elpv_dataset", None)
    with pytest.raises(DataError, match=r"pip install 'headfit\[demo\]'"):
        write_sample("elpv", tmp_path / "cells")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("labels", [None, "images/a.png 1.0\n", "images/a.png 1.0 mono\n"])
def test_a_damaged_package_is_named(tmp_path, monkeypatch, labels):
    if labels is not None:
        (tmp_path / "labels.csv").write_text(labels)
    monkeypatch.setattr(elpv, "_data_folder", lambda: tmp_path)
    with pytest.raises(DataError, match="elpv-dataset is damaged"):
        write_sample("solar-cells", tmp_path / "cells")


@pytest.mark.parametrize("refused", [(), ("link",), ("link", "symlink")])
def test_photographs_are_linked_where_possible_else_copied(tmp_path, monkeypatch, refused):
    def refuse(*args):
        raise OSError(1, "Operation not permitted")

    for name in refused:
        monkeypatch.setattr(os, name, refuse)
    source, target = tmp_path / "a.png", tmp_path / "b.png"
    source.write_bytes(b"image")
    elpv._place(source, target)
    assert target.read_bytes() == b"image"
    assert target.samefile(source) == (len(refused) < 2)
