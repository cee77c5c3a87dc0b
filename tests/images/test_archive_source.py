from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headfit.errors import DataError, ImageError, UsageError
from headfit.images.index import ImageIndex
from headfit.images.sources import find_source, members, open_source

NAMES = ("train/cat/1.png", "train/cat/é.png", "train/dog/1.png", "val/cat/3.png", "test/4.png")
FORMATS = {"zip": "zip", "tar": "tar", "gztar": "tar.gz", "bztar": "tar.bz2", "xztar": "tar.xz"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (*NAMES, "train/notes.txt", "__MACOSX/train/cat/1.png", "train/cat/.x.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 500)
    return tmp_path / "photos"


def zipped(path: Path, *infos: zipfile.ZipInfo | str, data: bytes = b"1") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for each in infos:
            file.writestr(each, data)
    return path


def tarred(path: Path, *members: tarfile.TarInfo | str) -> Path:
    with tarfile.open(path, "w") as file:
        for each in members:
            info = tarfile.TarInfo(each) if isinstance(each, str) else each
            info.size = 1 if info.isreg() else 0
            file.addfile(info, io.BytesIO(b"1"))
    return path


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("wrapped", [False, True])
def test_an_archive_is_read_like_the_folder(folder, tmp_path, kind, wrapped):
    base = "photos" if wrapped else "."
    where = folder.parent if wrapped else folder
    shutil.make_archive(str(tmp_path / "archive"), kind, where, base)
    path = tmp_path / f"archive.{FORMATS[kind]}"
    plain, index = ImageIndex.from_directory(folder), ImageIndex.from_archive(path)
    prefix = "photos/" if wrapped else ""
    assert index.paths == tuple(prefix + each for each in plain.paths)
    assert index.labels.tolist() == plain.labels.tolist()
    assert (index.splits, index.classes) == (plain.splits, plain.classes)
    assert index.unlabelled == tuple(prefix + each for each in plain.unlabelled)
    assert [each.reason for each in index.skipped] == [each.reason for each in plain.skipped]
    rows = list(range(len(index))) * 20
    with ThreadPoolExecutor(4) as pool:
        contents = list(pool.map(index.read_bytes, rows))
    assert contents == [plain.read_bytes(row) for row in rows]
    assert repr(index).startswith(f"<ImageIndex '{path.name}'")
    again = find_source(index.source.to_dict())
    assert again is not None and again.read_bytes(index.paths[0]) == plain.read_bytes(0)
    assert type(open_source(path)) is type(index.source)


def test_names_that_lead_out_and_links_are_refused_by_name(tmp_path):
    link = zipfile.ZipInfo("cat/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    names = ("cat/1.png", "dog/1.png", "../cat/2.png", "/cat/3.png", "C:\\cat\\4.png", "dog\\2.png")
    index = ImageIndex.from_archive(zipped(tmp_path / "a.zip", *names, link))
    assert index.paths == ("cat/1.png", "dog/1.png", "dog/2.png")
    assert {each.path: each.reason for each in index.skipped} == {
        "../cat/2.png": "its name leads out of the archive",
        "cat/3.png": "its name leads out of the archive",
        "C:/cat/4.png": "its name leads out of the archive",
        "cat/link.png": "a link, which is not followed",
    }
    with pytest.raises(ImageError, match="not in the archive"):
        index.source.read_bytes("../cat/2.png")


def test_links_and_devices_in_a_tar_are_not_followed(tmp_path):
    odd = []
    for name, kind in (("s", tarfile.SYMTYPE), ("h", tarfile.LNKTYPE), ("p", tarfile.FIFOTYPE)):
        info = tarfile.TarInfo(f"cat/{name}.png")
        info.type, info.linkname = kind, "/etc/passwd"
        odd.append(info)
    index = ImageIndex.from_archive(tarred(tmp_path / "a.tar", "./cat/1.png", "dog/1.png", *odd))
    assert index.paths == ("cat/1.png", "dog/1.png")
    assert sorted(each.reason for each in index.skipped) == [
        "a link, which is not followed",
        "a link, which is not followed",
        "not a regular file",
    ]


def test_an_archive_over_its_limits_is_refused(tmp_path, monkeypatch):
    path = zipped(tmp_path / "a.zip", "cat/1.png", "dog/1.png", data=bytes(1_000_000))
    monkeypatch.setattr(members, "LARGE", 1000)
    with pytest.raises(DataError, match=r"holds over 200 times its .* bytes: it may be hostile"):
        ImageIndex.from_archive(path)
    monkeypatch.undo()
    monkeypatch.setattr(members, "MAX_MEMBERS", 1)
    with pytest.raises(DataError, match="has more than 1 members, the limit"):
        ImageIndex.from_archive(path)


def test_a_bomb_that_lies_about_its_size_takes_no_memory(tmp_path):
    path = zipped(tmp_path / "a.zip", "cat/1.png", "dog/1.png", data=bytes(10_000_000))
    data = path.read_bytes().replace((10_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    path.write_bytes(data)
    with pytest.raises(ImageError, match="damaged in the archive"):
        ImageIndex.from_archive(path).read_bytes(0)


def test_a_large_image_is_skipped(tmp_path, monkeypatch):
    monkeypatch.setattr(members, "MAX_BYTES", 0)
    for path in (zipped(tmp_path / "a.zip", "a/1.png", "b/1.png"), tmp_path / "a.tar"):
        if path.suffix == ".tar":
            tarred(path, "a/1.png", "b/1.png")
        with pytest.raises(ImageError, match="too large"):
            ImageIndex.from_archive(path).read_bytes(0)


def test_a_compressed_tar_that_does_not_fit_into_memory_is_refused(folder, tmp_path, monkeypatch):
    shutil.make_archive(str(tmp_path / "a"), "gztar", folder)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 9}))
    with pytest.raises(DataError, match=r"must fit into memory.*pack it as \.zip or \.tar"):
        ImageIndex.from_archive(tmp_path / "a.tar.gz")


def test_an_encrypted_zip_is_named(tmp_path):
    path = zipped(tmp_path / "a.zip", "cat/1.png", "dog/1.png")
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        start = 0
        while (start := data.find(mark, start)) >= 0:
            data[start + place] |= 1
            start += 4
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"is encrypted, as 'cat/1.png' shows. Unpack it with its"):
        ImageIndex.from_archive(path)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
@pytest.mark.parametrize(
    "content",
    [b"", b"PK\3\4", b"\x1f\x8b" + bytes(90), b"\x1f\x8b\x08\x04" + bytes(6), os.urandom(2000)],
)
def test_what_is_no_archive_is_said_in_one_line(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        ImageIndex.from_archive(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_archive_is_said_in_one_line(folder, tmp_path, kind):
    shutil.make_archive(str(tmp_path / "a"), kind, folder)
    path = tmp_path / f"a.{FORMATS[kind]}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    with pytest.raises(DataError) as caught:
        index = ImageIndex.from_archive(path)
        for row in range(len(index)):
            index.read_bytes(row)
    assert "\n" not in str(caught.value)


def test_an_absent_archive_and_odd_options_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"There is no file '.*a\.zip'"):
        ImageIndex.from_archive(tmp_path / "a.zip")
    with pytest.raises(UsageError, match="`splits` must be True or False"):
        ImageIndex.from_archive(tmp_path / "a.zip", splits=3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="`follow_links` must be left out: it is for folders and"):
        open_source(tmp_path / "a.zip", follow_links=True)


def test_names_of_old_zips_are_read_as_utf8(tmp_path):
    path = zipped(tmp_path / "a.zip", "cat/e'.png", "dog/1.png")
    path.write_bytes(path.read_bytes().replace(b"e'", "é".encode()))
    assert ImageIndex.from_archive(path).paths[0] == "cat/é.png"
