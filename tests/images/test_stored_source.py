from __future__ import annotations

import pytest

from headfit.images.sources import find_source
from headfit.images.sources.files import FileSource
from headfit.images.sources.folder import FolderSource


@pytest.mark.parametrize("kind", [FolderSource, FileSource])
def test_a_source_is_found_again_while_it_is_there(tmp_path, kind):
    (tmp_path / "photo.jpg").write_bytes(b"1")
    source = find_source(kind(tmp_path).to_dict())
    assert type(source) is kind
    assert source.read_bytes("photo.jpg") == b"1"
    assert find_source(kind(tmp_path / "gone").to_dict()) is None


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        {"kind": "ftp", "path": "."},
        {"kind": "folder"},
        {"kind": "folder", "path": ""},
        {"kind": "folder", "path": 3},
        {"kind": "folder", "path": r"\\\\host\\share"},
        {"kind": "folder", "path": "//host/share"},
        {"kind": "folder", "path": "/\\host/share"},
        {"kind": "folder", "path": "\\/host/share"},
    ],
)
def test_a_record_of_anything_else_is_no_source(record):
    assert find_source(record) is None
