from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headfit.errors import DataError, UsageError
from headfit.images.index import ImageIndex
from headfit.images.inputs import Inputs
from headfit.images.sources import find_source, open_source
from photos import write_folder

datasets = pytest.importorskip("datasets")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("datasets")
    write_folder(root / "photos", 2, split="train")
    write_folder(root / "photos", 1, seed=1, split="test")
    return root / "photos"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def saved(photos: Path, tmp_path: Path) -> Path:
    loaded = datasets.load_dataset("imagefolder", data_dir=str(photos))
    loaded.save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


def index_of(text: str, **options: Any) -> ImageIndex:
    return ImageIndex.from_source(open_source(text, **options))


def test_an_image_folder_and_a_saved_data_set_give_the_index_of_the_folder(photos, saved):
    plain = ImageIndex.from_directory(photos)
    for path in (photos, saved):
        index = index_of(f"hf:{path}")
        assert (index.paths, index.splits) == (plain.paths, plain.splits)
        assert (index.classes, index.labels.tolist()) == (plain.classes, plain.labels.tolist())
        contents = [index.read_bytes(row) for row in range(len(index))]
        assert contents == [plain.read_bytes(row) for row in range(len(plain))]
        again = find_source(json.loads(json.dumps(index.source.to_dict())))
        assert again is not None and again.read_bytes(plain.paths[0]) == contents[0]
        assert index.source.argument == f"hf:{path}"


def test_columns_of_a_data_set_are_chosen_and_refused(saved, tmp_path):
    part = datasets.load_from_disk(str(saved))["train"]
    names = [f"{number % 2}" for number in range(len(part))]
    part = part.add_column("shape", names).add_column("group", names)
    part.save_to_disk(str(tmp_path / "one"))
    text = f"hf:{tmp_path / 'one'}"
    index = index_of(text, label_column="shape")
    assert (index.classes, set(index.splits), set(index.groups or ())) == (
        ("0", "1"),
        {"train"},
        {"0", "1"},
    )
    assert index.source.options == {"label_column": "shape"}
    with pytest.raises(UsageError, match=r"`label_column` must be a column of .*'shape'"):
        index_of(text, label_column="form")
    with pytest.raises(UsageError, match=r"`path_column` must be a column of images in .*: image"):
        index_of(text, path_column="shape", label_column="label")
    with pytest.raises(UsageError, match="`root` must be left out"):
        open_source(text, root=tmp_path)


def test_what_cannot_be_loaded_is_said_in_one_line(saved, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"data set '.*empty' cannot be loaded: ") as caught:
        index_of(f"hf:{tmp_path / 'empty'}")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"save_to_disk wrote, put hf: before its name\.$"):
        ImageIndex.from_directory(saved)
    with pytest.raises(UsageError, match="is a data set, which compare and rank take"):
        Inputs([f"hf:{tmp_path}"])
    with pytest.raises(UsageError, match="hf: and the name"):
        open_source("hf:")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(UsageError, match=r"pip install 'headfit\[datasets\]'"):
        index_of("hf:some/name")
    assert find_source({"kind": "dataset", "path": "some/name", "columns": {}}) is None


def test_lists_of_classes_and_numbers_of_a_data_set_become_targets(saved, tmp_path):
    part = datasets.load_from_disk(str(saved))["train"].remove_columns("label")
    names = datasets.ClassLabel(names=["sea", "sky"])
    codes = [[number % 2, 1] if number else [] for number in range(len(part))]
    part = part.add_column("tags", codes).add_column("x", [n / 2 for n in range(len(part))])
    part.cast_column("tags", datasets.Sequence(names)).save_to_disk(str(tmp_path / "one"))
    text = f"hf:{tmp_path / 'one'}"
    tags = index_of(text, label_column="tags")
    assert (tags.targets.kind, tags.classes) == ("labels", ("sea", "sky"))
    assert tags.counts() == {"sea": 2, "sky": 5}
    numbers = index_of(text, label_column="x", target="number")
    assert sorted(numbers.labels.ravel()) == [n / 2 for n in range(len(part))]
    again = find_source(json.loads(json.dumps(numbers.source.to_dict())))
    assert again is not None and again.options == numbers.source.options
