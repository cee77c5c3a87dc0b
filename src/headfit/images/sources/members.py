"""The files in an archive: their names, and their content without unpacking.

Archives come from anybody. Nothing is written to disk, no link is followed, and limits hold for the
number of files, for what each takes in memory, and for how much the archive grows.
"""

from __future__ import annotations

import lzma
import posixpath
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import BinaryIO, Protocol, Self

from headfit.errors import DataError, ImageError
from headfit.images.gate import MAX_BYTES
from headfit.images.sources.links import IN_ARCHIVE
from headfit.images.sources.source import quote
from headfit.images.sources.walk import Entry, why_not_image
from headfit.util.records import DAMAGE

MAX_MEMBERS = 5_000_000
MAX_EXPANSION = 200
"""How many times its size an archive may hold, where that is more than a gigabyte."""
LARGE = 1_000_000_000
MAX_HEADER = 1_000_000
"""Bytes of a header that holds the name or the attributes of a file in a .tar."""
_LONG_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_ENCRYPTED = 0x1
_IS_UTF8 = 0x800
OUTSIDE = "its name leads out of the archive"
_SPECIAL = "not a regular file"
_TOO_LARGE = f"too large; the limit is {MAX_BYTES:,} bytes"
_DAMAGED: tuple[type[Exception], ...] = (*DAMAGE, tarfile.TarError, lzma.LZMAError)


class Members(Protocol):
    """The files of an archive."""

    @property
    def names(self) -> Iterable[str]:
        """Names of files, posix; those of folders end with a slash."""

    @property
    def others(self) -> list[Entry]:
        """What is neither: links, devices, names that lead out of the archive."""

    def start(self, name: str) -> bytes:
        """Return the first bytes of a file; empty if it cannot be read."""

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            ImageError: it cannot be read; the message is the reason alone.
        """


def open_members(path: Path) -> Members:
    """Open an archive: a .zip or a .tar, whatever its name.

    Raises:
        DataError: it is damaged, encrypted or over its limits.
    """
    try:
        if zipfile.is_zipfile(path):
            return _Zip.open(path)
        with path.open("rb") as stream:
            start = stream.read(512)
        if start.startswith(b"PK\x03\x04"):
            raise DataError(
                f"{quote(path)} is a .zip archive that was cut off. Copy or download it again."
            )
        if start[257:262] == b"ustar":
            return _Tar.open(path)
        return _CompressedTar.open(path)
    except _DAMAGED as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DataError(
            f"{quote(path)} cannot be read as a .zip or .tar archive ({reason})."
        ) from error


@dataclass
class _Names:
    """Sorts the names in an archive.

    Attributes:
        path: of the archive.
        others: what is not to be read.
        count: number of members so far.
        total: their bytes.
    """

    path: Path
    others: list[Entry] = field(default_factory=list)
    count: int = 0
    total: int = 0

    def __post_init__(self) -> None:
        self.stored = self.path.stat().st_size

    def take(self, name: str, size: int, reason: str = "") -> str:
        """Return the name of a file or folder in plain form; empty if it is not to be read.

        Raises:
            DataError: the archive is over its limits.
        """
        self.count += 1
        self.total += size
        if self.count > MAX_MEMBERS:
            raise DataError(
                f"{quote(self.path)} has more than {MAX_MEMBERS:,} members, the limit. Give a "
                "folder instead."
            )
        if self.total > max(LARGE, MAX_EXPANSION * self.stored):
            raise DataError(
                f"{quote(self.path)} holds over {MAX_EXPANSION} times its {self.stored:,} bytes: "
                "it may be hostile, and is not read."
            )
        plain = name.replace("\\", "/")
        if plain.startswith("/") or ".." in plain.split("/") or PureWindowsPath(plain).drive:
            reason = OUTSIDE
        elif plain.startswith("./") or "//" in plain or "/./" in plain:
            slash = "/" if plain.endswith("/") else ""
            plain = posixpath.normpath(plain).removeprefix(".") + slash
        if reason and plain:
            self.others.append(Entry(plain.strip("/"), reason))
        return "" if reason else plain.lstrip("/")


@dataclass
class _Zip:
    """A zip file, which stays open: it can be read from several threads."""

    file: zipfile.ZipFile
    infos: dict[str, zipfile.ZipInfo]
    others: list[Entry]

    @classmethod
    def open(cls, path: Path) -> _Zip:
        file = zipfile.ZipFile(path)
        names, infos = _Names(path), {}
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            odd = kind not in (0, stat.S_IFREG, stat.S_IFDIR)
            reason = (IN_ARCHIVE if kind == stat.S_IFLNK else _SPECIAL) if odd else ""
            if name := names.take(_zip_name(info), info.file_size, reason):
                infos[name] = info
        encrypted = [name for name, info in infos.items() if info.flag_bits & _ENCRYPTED]
        if encrypted:
            raise DataError(
                f"{quote(path)} is encrypted, as {quote(encrypted[0])} shows. Unpack it with its "
                "password and give the folder."
            )
        return cls(file, infos, names.others)

    @property
    def names(self) -> Iterable[str]:
        return self.infos

    def start(self, name: str) -> bytes:
        try:
            with self.file.open(self.infos[name]) as stream:
                return stream.read(512)
        except _DAMAGED:
            return b""

    def read(self, name: str) -> bytes:
        info = self.infos.get(name)
        if info is None:
            raise ImageError("not in the archive")
        if info.file_size > MAX_BYTES:
            raise ImageError(_TOO_LARGE)
        try:
            with self.file.open(info) as stream:
                return stream.read(MAX_BYTES)
        except _DAMAGED as error:
            raise ImageError(f"damaged in the archive: {error}") from error


@dataclass
class _Tar:
    """A tar file that is not compressed: where each file lies in it is known."""

    stream: BinaryIO
    places: dict[str, tuple[int, int]]
    others: list[Entry]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __del__(self) -> None:
        self.stream.close()

    @classmethod
    def open(cls, path: Path) -> _Tar:
        places, names = {}, _Names(path)
        with tarfile.open(path, "r:", tarinfo=_TarInfo) as file:
            for name, member in _tar_members(file, names):
                places[name] = (member.offset_data, member.size)
        return cls(path.open("rb"), places, names.others)

    @property
    def names(self) -> Iterable[str]:
        return self.places

    def start(self, name: str) -> bytes:
        offset, size = self.places[name]
        return self._read(offset, min(size, 512))

    def read(self, name: str) -> bytes:
        if name not in self.places:
            raise ImageError("not in the archive")
        offset, size = self.places[name]
        if size > MAX_BYTES:
            raise ImageError(_TOO_LARGE)
        data = self._read(offset, size)
        if len(data) < size:
            raise ImageError("damaged in the archive: it ends too early")
        return data

    def _read(self, offset: int, size: int) -> bytes:
        with self.lock:
            self.stream.seek(offset)
            return self.stream.read(size)


@dataclass
class _CompressedTar:
    """A compressed tar file. It can be read from its start only, so its images are in memory."""

    contents: dict[str, bytes]
    others: list[Entry]

    @classmethod
    def open(cls, path: Path) -> _CompressedTar:
        import psutil  # noqa: PLC0415  (not for --help)

        limit, held = psutil.virtual_memory().available // 2, 0
        contents: dict[str, bytes] = {}
        names = _Names(path)
        with tarfile.open(path, "r|*", tarinfo=_TarInfo) as file:
            for name, member in _tar_members(file, names):
                wanted = member.isreg() and (why_not_image(name) is None or name.endswith(".json"))
                contents[name] = b""
                if not wanted or member.size > MAX_BYTES:
                    continue
                held += member.size
                if held > limit:
                    raise DataError(
                        f"{quote(path)} is compressed as a whole, so its images must fit into "
                        f"memory, and they take more than {limit:,} bytes. Unpack it, or pack it "
                        "as .zip or .tar."
                    )
                stream = file.extractfile(member)
                contents[name] = stream.read() if stream else b""
        return cls(contents, names.others)

    @property
    def names(self) -> Iterable[str]:
        return self.contents

    def start(self, name: str) -> bytes:
        return self.contents[name][:512]

    def read(self, name: str) -> bytes:
        if name not in self.contents:
            raise ImageError("not in the archive")
        return self.contents[name]


class _TarInfo(tarfile.TarInfo):
    """A header, of which those that hold names and attributes are short: they go into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        info = super().frombuf(buf, encoding, errors)
        if info.type in _LONG_HEADERS and info.size > MAX_HEADER:
            raise tarfile.ReadError(f"a header of {info.size:,} bytes; the limit is {MAX_HEADER:,}")
        return info


def _tar_members(file: tarfile.TarFile, names: _Names) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield the files and folders of a tar file with their plain names."""
    for member in file:
        link = member.islnk() or member.issym()
        odd = not (member.isreg() or member.isdir()) or member.issparse()
        reason = IN_ARCHIVE if link else _SPECIAL if odd else ""
        name = names.take(member.name + "/" * member.isdir(), member.size, reason)
        if name:
            yield name, member
        file.members.clear()  # type: ignore[attr-defined]  # a million would take gigabytes


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Return a name; many programs write UTF-8 without saying so."""
    if info.flag_bits & _IS_UTF8 or info.filename.isascii():
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename
