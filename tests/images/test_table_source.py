from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pytest
from pyarrow import parquet

from headfit.errors import DataError, UsageError
from headfit.images.index import ImageIndex
from headfit.images.sources import find_source, open_source
from headfit.images.sources.folder import FolderSource
from headfit.images.sources.table import TablePaths

ROWS = [("cat/1.png", "cat"), ("cat/2.png", "cat"), ("dog/é 1.png", "dog"), ("dog/2.png", "dog")]
Write = dict[str, str]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, _ in ROWS:
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(path.encode())
    return tmp_path


def lines(
    rows: Sequence[Sequence[object]] = ROWS, header: str = "path,label", sep: str = ","
) -> str:
    return "\n".join([header, *(sep.join(map(str, row)) for row in rows)]) + "\n"


def table(root: Path, text: str, name: str = "photos.csv", encoding: str = "utf-8") -> Path:
    file = root / name
    file.write_bytes(text.encode(encoding))
    return file


@pytest.mark.parametrize(
    ("text", "name", "encoding", "said"),
    [
        (lines(), "photos.csv", "utf-8", ""),
        (lines(), "photos.csv", "utf-8-sig", ""),
        (lines().replace("\n", "\r\n") + "\r\n", "photos.csv", "utf-8", ""),
        ("\n\n" + lines(), "photos.csv", "utf-8", ""),
        (lines(ROWS[::-1]), "photos.csv", "utf-8", ""),
        (lines(), "photos.csv", "utf-16", "'photos.csv' is encoded as UTF-16."),
        (lines(), "photos.csv", "utf-16-le", "'photos.csv' is encoded as UTF-16."),
        (lines(), "photos.csv", "cp1252", "'photos.csv' is encoded as Windows-1252."),
        (
            lines(header="path;label", sep=";"),
            "photos.csv",
            "cp1252",
            "'photos.csv' is encoded as Windows-1252, separated by semicolons.",
        ),
        (
            "sep=|\n" + lines(header="path|label", sep="|"),
            "photos.csv",
            "utf-8",
            "'photos.csv' is separated by vertical bars.",
        ),
        (lines(header="path\tlabel", sep="\t"), "photos.tsv", "utf-8", ""),
        (
            lines([(f"'{p}'", f"'{label}'") for p, label in ROWS], "'path','label'"),
            "photos.csv",
            "utf-8",
            "'photos.csv' is quoted by '.",
        ),
        (
            lines([(f'"{p}"', label, '"a, ""b"""') for p, label in ROWS], "path,label,note"),
            "photos.csv",
            "utf-8",
            "",
        ),
        (
            lines([(p.replace("/", "\\"), label) for p, label in ROWS]),
            "photos.csv",
            "utf-8",
            "",
        ),
        (
            lines(header="Image File Name,Species"),
            "photos.csv",
            "utf-8",
            "Columns of 'photos.csv': path from 'Image File Name', label from 'Species'.",
        ),
        (
            lines([(7, *row) for row in ROWS], "id,x,class"),
            "photos.csv",
            "utf-8",
            "Columns of 'photos.csv': path from 'x', label from 'class'.",
        ),
    ],
)
def test_tables_of_any_form_give_the_index_of_the_folder(root, text, name, encoding, said):
    folder = ImageIndex.from_directory(root)
    index = ImageIndex.from_table(table(root, text, name, encoding))
    assert (index.paths, index.labels.tolist()) == (folder.paths, folder.labels.tolist())
    assert (index.splits, index.groups, index.weights) == (folder.splits, None, None)
    assert (index.notes, index.skipped) == ((said,) if said else (), ())
    assert index.read_bytes(0) == b"cat/1.png"


def test_every_kind_of_table_is_read_alike(root):
    frame = pd.DataFrame(
        {
            "path": [path for path, _ in ROWS],
            "label": [3, 3, 4, 4],
            "split": pd.Categorical(["train", "Val", "train", "test"]),
            "group": [1.0, np.nan, 2.0, 2.0],
        }
    )
    frame.to_csv(root / "a.csv", index=False)
    frame.to_csv(root / "a.tsv", index=False, sep="\t")
    frame.to_parquet(root / "a.parquet")
    frame.to_json(root / "a.jsonl", orient="records", lines=True)
    in_memory = [frame, pyarrow.Table.from_pandas(frame), frame.to_dict("list")]
    tables = [*(root / f"a.{suffix}" for suffix in ("csv", "tsv", "parquet", "jsonl")), *in_memory]
    for each in tables:
        index = ImageIndex.from_table(each, root=root)
        assert index.paths == ("cat/1.png", "cat/2.png", "dog/2.png", "dog/é 1.png")
        assert index.classes == ("3", "4")
        assert index.splits == ("train", "validation", "test", "train")
        assert index.groups in {("1", None, "2", "2"), ("1.0", None, "2.0", "2.0")}
        assert index.notes == ()
    repr(index)


def test_rows_that_cannot_be_used_are_counted_and_named(root):
    odd = [
        ("cat/absent.png", "cat", "train"),  # row 6
        ("cat/gone.png", "cat", "train"),
        ("../secret.png", "cat", "train"),
        ("/etc/passwd", "cat", "train"),
        ("", "cat", "train"),
        ("cat/3.png", "", "train"),
        ("cat/3.png", "cat", "later"),
        ("cat/1.png", "cat", "train"),
        ("dog/2.png", "cat", "train"),
        ("https://example.org/1.png", "cat", "train"),
    ]
    (root / "cat" / "3.png").write_bytes(b"3")
    (root / "cat" / "stray.png").write_bytes(b"4")
    file = table(root, lines([(*row, "train") for row in ROWS] + odd, "path,label,split"))
    index = ImageIndex.from_table(file)
    assert index.paths == ("cat/1.png", "cat/2.png", "dog/é 1.png")
    first, second = index.notes
    assert first == (
        "11 of 14 rows of 'photos.csv' are left out: "
        "2 × no such file (row 6 'cat/absent.png', row 7 'cat/gone.png'), "
        "2 × a path outside the root (row 8 '../secret.png', row 9 '/etc/passwd'), "
        "1 × no path (row 10), 1 × no label (row 11), 1 × unknown split 'later' (row 12), "
        "1 × repeats another row (row 13 'cat/1.png'), "
        "1 × a web address, not a file (row 15 'https://example.org/1.png'), "
        "2 × contradicts another row of its image (row 5 'dog/2.png', row 14 'dog/2.png')."
    )
    assert second == (
        "'photos.csv' has no row for 1 image beside those of its rows: 'cat/stray.png'."
    )
    assert len(index.skipped) == 11
    assert index.skipped[0].reason in {"no path (row 10)", "a path outside the root (row 8)"}
    with pytest.raises(DataError, match=r"^11 of 14 rows .* Correct this or leave out `strict`\.$"):
        ImageIndex.from_table(file, strict=True)


def test_blank_lines_keep_the_numbers_of_the_rows(root):
    text = lines(ROWS[:3]) + "\n,\n" + "cat/x.png,cat\n"
    (note, _) = ImageIndex.from_table(table(root, text)).notes
    assert note.startswith("1 of 4 rows of 'photos.csv' is left out")
    assert "(row 7 'cat/x.png')" in note


@pytest.mark.parametrize(
    ("text", "options", "kind", "match"),
    [
        ("", {}, DataError, "^'photos.csv' is empty. Give a table with a row"),
        (lines(header="a,b", rows=[("x", "y")]), {}, DataError, "Received: 'a', 'b'. Name it with"),
        (lines(header="path,a,b"), {}, DataError, "holds the labels. .* with `label_column`"),
        (
            lines(header="path,class,label_name"),
            {},
            DataError,
            "'class', 'label_name'. Name it with `label_column`",
        ),
        (
            lines(header="path,species,b"),
            {"label_column": "specis"},
            UsageError,
            "`label_column` must be a column of .* 'species', 'b'. .*Did you mean 'species'",
        ),
        ("cat/1.png,cat\n", {}, DataError, "must name its columns. Received: 'cat/1.png', 'cat'"),
        (lines([]), {}, DataError, "'photos.csv' has no rows"),
        (lines(ROWS[:2]), {}, DataError, "Only one class in 'photos.csv'"),
        (lines(), {"root": "gone"}, UsageError, "`root` must be a folder that exists"),
        ("path,label\n" + "x" * 140_000 + ",y\n", {}, DataError, "cannot be read as a table"),
        (lines([("1.png", "cat"), ("2.png", "dog")]), {}, DataError, "'1.png' is in '.*cat': give"),
        (lines([("cat/1", "a"), ("cat/2", "b")]), {}, DataError, "There is '.*1.png': write paths"),
        (lines([("x", "a"), ("../y", "b")]), {}, DataError, "relative to '.*': choose another"),
    ],
)
def test_what_cannot_be_read_is_explained_in_one_line(root, text, options, kind, match):
    with pytest.raises(kind, match=match) as caught:
        ImageIndex.from_table(table(root, text), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "match"),
    [
        ("a.jsonl", b'{"path": "x", "label": "y"}\n[1]\n', "Line 2 of '.*a.jsonl' is not a JSON"),
        ("a.jsonl", b"[" * 100_000, "Line 1 of"),
        ("a.parquet", b"PAR1 no", "cannot be read as Parquet"),
        ("a.csv", b"\xff\xfea,b\n\xff", "cannot be read as a table"),
    ],
)
def test_damaged_tables_are_errors_of_one_line(root, name, data, match):
    (root / name).write_bytes(data)
    with pytest.raises(DataError, match=match) as caught:
        ImageIndex.from_table(root / name)
    assert "\n" not in str(caught.value)


def test_what_is_no_table_is_refused(root):
    with pytest.raises(UsageError, match="`table` must be the path of a table, or a DataFrame"):
        ImageIndex.from_table(3)
    with pytest.raises(UsageError, match=r"columns of one length. .*'path': 1, 'label': 2"):
        ImageIndex.from_table({"path": ["1.jpg"], "label": ["a", "b"]})
    with pytest.raises(UsageError, match=r"`archive` must be a path\. Received: archive=3"):
        ImageIndex.from_archive(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="cannot be read"):
        ImageIndex.from_table(root / "gone.csv")
    with pytest.raises(UsageError, match="`root` must be left out: it is for tables"):
        open_source(root, root=root)
    with pytest.raises(UsageError, match="`splits` must be left out: it is for folders and"):
        open_source(root / "a.csv", splits=True)


def test_a_column_can_be_named_or_excluded(root):
    rows = [(path, "z", label, number) for number, (path, label) in enumerate(ROWS)]
    file = table(root, lines(rows, "path,label,Breed,group"))
    index = ImageIndex.from_table(file, label_column="breed", group_column="")
    assert (index.classes, index.groups, index.notes) == (("cat", "dog"), None, ())
    assert dict(index.source.options) == {
        "label_column": "breed",
        "group_column": "",
        "root": None,
        "strict": None,
    }


def test_the_images_of_a_table_are_found_again(root):
    (root / "tables").mkdir()
    file = table(root / "tables", lines())
    source = ImageIndex.from_table(file, root=root).source
    again = find_source(json.loads(json.dumps(source.to_dict())))
    assert again is not None and again.read_bytes("cat/1.png") == b"cat/1.png"
    assert find_source({**source.to_dict(), "root": str(root / "gone")}) is None
    assert type(open_source(file)) is type(source)
    assert type(open_source(root)) is FolderSource


def test_weights_are_said_however_their_column_is_found(root):
    rows = [(*row, number + 1) for number, row in enumerate(ROWS)]
    off = "To count all alike, set `weight_column=''`."
    for name in ("weight", "sample_weight"):
        file = table(root, lines(rows, f"path,label,{name}"))
        index = ImageIndex.from_table(file)
        assert index.weights.tolist() == [1, 2, 4, 3]
        said = f"Images are weighted by column '{name}' of 'photos.csv'. {off}"
        assert index.notes[-1] == said
        alike = ImageIndex.from_table(file, weight_column="")
        assert (alike.weights, alike.notes) == (None, ())
    assert open_source(root, weight_column="") == open_source(root)  # no source has such a column


def test_a_list_of_images_without_header_is_read_to_its_first_line(root):
    file = table(root, "cat/1.png\ncat/gone.png\n\ndog/2.png\n")
    paths = TablePaths.of(file)
    names = [(Path(name).relative_to(root).as_posix(), fault) for name, fault in paths]
    assert names == [("cat/1.png", ""), ("cat/gone.png", "no such file"), ("dog/2.png", "")]
    assert paths.notes == ("'photos.csv' has one column and no header: it holds the paths.",)
    with pytest.raises(DataError, match="Add a row such as path"):
        TablePaths.of(table(root, "cat/1.png,cat\n"))
    paths = TablePaths.of(table(root, lines(header="file,label")))
    assert paths.notes == ("Columns of 'photos.csv': path from 'file'.",)


def test_parquet_needs_no_more_columns_than_named(root):
    columns = {"path": [p for p, _ in ROWS], "label": [c for _, c in ROWS], "blob": [b"x"] * 4}
    parquet.write_table(pyarrow.table(columns), root / "a.parquet")
    assert len(ImageIndex.from_table(root / "a.parquet")) == 4
