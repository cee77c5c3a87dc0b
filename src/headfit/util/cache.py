"""What headfit keeps so that nothing is done twice: named caches below one folder.

The folder is ``HEADFIT_HOME``, else the platform's cache folder. A cache is a folder there, with a
folder for each format of its entries: ``features/v3``. Entries of another format are never read;
``headfit cache list`` shows them and ``headfit cache prune`` removes them.

An entry is a record (``KEY.json``, plain data with its digest), an archive (``KEY.npz``, which
zip checks), or a folder with a manifest of the digests of its files. Feature stores and samples
check their folders themselves. The time of an entry's last change is that of its last use.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import stat
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from headfit.errors import UsageError, WriteError
from headfit.util import digests, files
from headfit.util.records import DAMAGE

MANIFEST = "manifest.json"
SHARED = "HEADFIT_SHARED_HOME"
"""Environment variable that accepts, if 1, a cache folder that others can write."""
USE_SECONDS = 3600.0  # uses within this time of one another count as one
_FORMAT = re.compile(r"v(\d+)")
_read_only = False


def home() -> Path:
    """Give the folder of all caches: ``HEADFIT_HOME``, else the platform's cache folder."""
    return Path(os.environ.get("HEADFIT_HOME") or platformdirs.user_cache_dir("headfit"))


def forbid_writing() -> None:
    """Read the caches from now on, in this process, and change nothing in them."""
    global _read_only
    _read_only = True


def _check_writable() -> None:
    if _read_only:
        raise WriteError(
            f"The cache '{home()}' lacks what this takes, and `read_only` forbids writing it. Run "
            f"it once without `read_only`, with the same HEADFIT_HOME."
        )


@functools.cache
def _guard(root: Path) -> None:
    """Make the folder of all caches, for its user alone, or see that nobody else can change it.

    Raises:
        UsageError: if others can: features that they forge would decide the comparison.
    """
    with contextlib.suppress(OSError):  # whoever writes there says why it cannot be
        if not _read_only:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not hasattr(os, "getuid") or os.environ.get(SHARED) == "1" or not root.exists():
        return
    status = root.stat()
    foreign = status.st_uid != os.getuid()
    if foreign or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        problem = "belongs to another user" if foreign else "can be written by other users"
        raise UsageError(
            f"The cache folder '{root}' {problem}, who could change what headfit computes. Make it "
            f"yours alone (chmod 700), set HEADFIT_HOME to a folder of your own, or set {SHARED}=1 "
            f"if you trust everybody who can write there."
        )


def _make_private(folder: Path) -> None:
    """Make a folder that only its user can enter, whatever the umask and the folder above it.

    What is below needs no mode of its own: nobody else reaches it.
    """
    if not hasattr(os, "getuid") or os.environ.get(SHARED) == "1":
        return
    with contextlib.suppress(OSError):  # whoever writes there says why it cannot be
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        open_to_others = stat.S_ISDIR(status.st_mode) and status.st_mode & 0o077
        if open_to_others and status.st_uid == os.getuid():
            folder.chmod(0o700)


@dataclass(frozen=True)
class Cache:
    """Entries of one kind, each under a key that depends on all that made it.

    Attributes:
        name: of its folder.
        format: to be raised with every change of what entries hold or of how they are made.
        holds: what the entries are, for people.
        former: names that its folder had in earlier versions.
    """

    name: str
    format: int
    holds: str
    former: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the entries of this format lie."""
        _guard(home())
        if not _read_only:
            _make_private(home() / self.name)
            _sweep_all(home())
        return home() / self.name / f"v{self.format}"

    def path(self, key: str) -> Path:
        """Say where an entry lies, or will lie, and note that it was used."""
        path = self.folder / key
        note_use(path)
        return path

    def read(self, key: str) -> Any:
        """Read a record; None if there is none or it is damaged."""
        path = self.path(f"{key}.json")
        try:
            record = json.loads(path.read_text("utf-8"))
            return record["data"] if digests.of_data(record["data"]) == record["digest"] else None
        except DAMAGE:
            return None

    def write(self, key: str, data: Any) -> None:
        """Write a record: plain data that JSON can hold.

        Raises:
            WriteError: if it cannot be written.
        """
        _check_writable()
        record = {"digest": digests.of_data(data), "data": data}
        files.write_json(self.folder / f"{key}.json", record)

    def find(self, key: str) -> Path | None:
        """Find a folder entry; None if there is none or it is damaged."""
        path = self.path(key)
        return path if path.is_dir() and not damage(path) else None

    @contextlib.contextmanager
    def new_folder(self, key: str) -> Iterator[Path]:
        """Give a folder to fill; with a manifest it becomes the entry, whole or not at all.

        Raises:
            WriteError: if it cannot be written.
        """
        _check_writable()
        with files.new_folder(self.folder / key) as temporary:
            yield temporary
            names = sorted(path.name for path in temporary.iterdir())
            manifest = {name: digests.of_file(temporary / name) for name in names}
            files.write_json(temporary / MANIFEST, manifest)


FEATURES = Cache("features", 4, "feature maps of images")
FITS = Cache("fits", 4, "cross-validated and fitted heads")
TUNING = Cache("tuning", 1, "folds of fine-tuning, and the state of those in progress")
GRAPHS = Cache("graphs", 1, "networks as OpenVINO graphs")
TRIALS = Cache("trials", 1, "fastest setting of each graph on this machine")
MODELS = Cache("models", 3, "notes on model files that were written")
RUNS = Cache("runs", 1, "notes on runs that were written")
# format 2: preprocess_input of the caffe kind within a model is recognised
BACKBONES = Cache("backbones", 2, "your own backbones: properties and weights", former=("own",))
HEADS = Cache("heads", 1, "your own heads, compiled")
SAMPLES = Cache("samples", 1, "images of the demonstration")
CACHES = (FEATURES, FITS, TUNING, GRAPHS, TRIALS, MODELS, RUNS, BACKBONES, HEADS, SAMPLES)


def note_use(path: Path) -> None:
    """Note that an entry was used, unless that was noted within the hour."""
    with contextlib.suppress(OSError):  # absent, or read-only
        if not _read_only and time.time() - path.stat().st_mtime > USE_SECONDS:
            os.utime(path)


def damage(path: Path) -> list[str]:
    """Name the files of an entry that are not as they were written.

    Args:
        path: a record, an archive or a folder with a manifest.
    """
    if path.is_dir():
        return _damage_of_folder(path)
    try:
        if path.suffix == ".json":
            record = json.loads(path.read_text("utf-8"))
            whole = digests.of_data(record["data"]) == record["digest"]
        else:
            with zipfile.ZipFile(path) as archive:
                whole = archive.testzip() is None
    except DAMAGE:
        whole = False
    return [] if whole else [path.name]


def _damage_of_folder(path: Path) -> list[str]:
    try:
        manifest = dict(json.loads((path / MANIFEST).read_text("utf-8")))
        there = {each.name for each in path.iterdir()} - {MANIFEST}
    except DAMAGE:
        return [MANIFEST]
    damaged = sorted(there ^ manifest.keys())
    for name in sorted(there & manifest.keys()):
        try:
            whole = digests.of_file(path / name) == manifest[name]
        except OSError:
            whole = False
        damaged += [] if whole else [name]
    return damaged


@dataclass(frozen=True)
class Entry:
    """An entry of a cache, of this format or another.

    Attributes:
        cache: that it belongs to.
        format: its format; None of versions that did not tell formats apart.
        path: the file or folder.
        size: in bytes.
        last_use: seconds since 1970.
    """

    cache: Cache
    format: int | None
    path: Path
    size: int
    last_use: float

    @property
    def outdated(self) -> bool:
        """Whether it is of an earlier format, which no later version reads."""
        return self.format is None or self.format < self.cache.format


def entries() -> list[Entry]:
    """List the entries of all caches; nothing that is a link or lies behind one."""
    return [
        entry
        for cache in CACHES
        for name in (cache.name, *cache.former)
        for entry in _entries(cache, home() / name)
    ]


def _entries(cache: Cache, folder: Path) -> Iterator[Entry]:
    for path in _members(folder):
        number = _FORMAT.fullmatch(path.name)
        if number is None:
            yield _entry(cache, None, path)
        else:
            version = int(number[1]) if folder.name == cache.name else None
            yield from (_entry(cache, version, each) for each in _members(path))


def _members(folder: Path) -> list[Path]:
    """List what lies in a folder, without links and what is being written."""
    try:
        # a folder elsewhere, behind a link or a junction, is not ours to look into
        if folder.resolve() != home().resolve() / folder.relative_to(home()):
            return []
        inside = [each for each in os.scandir(folder) if not each.is_symlink()]
    except OSError:
        return []
    return sorted(Path(each.path) for each in inside if not files.is_temporary(each.name))


def _entry(cache: Cache, version: int | None, path: Path) -> Entry:
    try:
        return Entry(cache, version, path, _size(path), path.stat().st_mtime)
    except OSError:  # it has just been removed
        return Entry(cache, version, path, 0, 0.0)


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.lstat().st_size
    return sum(
        (Path(folder) / name).lstat().st_size
        for folder, _, names in os.walk(path)
        for name in names
    )


@functools.cache
def _sweep_all(root: Path) -> None:
    """Remove what killed processes left in the caches, once in a process."""
    for cache in CACHES:
        for folder in (root / cache.name, root / cache.name / f"v{cache.format}"):
            files.sweep(folder)
    for store in _members(root / FEATURES.name / f"v{FEATURES.format}"):
        files.sweep(store)
