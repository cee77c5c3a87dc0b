"""The folders of a source as a tree, made of names alone."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from headfit.images.sources.source import quote
from headfit.images.sources.splits import says_nothing
from headfit.images.sources.walk import OWN, Entry

_TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk of Hugging Face writes


@dataclass
class Folder:
    """A folder and what lies in it.

    Attributes:
        path: posix, relative to the source; empty for the source itself.
        images: paths of the images directly in it.
        others: the other entries directly in it, and itself if it is empty or was not entered.
        folders: those directly in it, by the last part of their path.
        total: how many images it holds, however deep.
    """

    path: str = ""
    images: list[str] = field(default_factory=list)
    others: list[Entry] = field(default_factory=list)
    folders: dict[str, Folder] = field(default_factory=dict)
    total: int = 0

    @property
    def name(self) -> str:
        """Last part of the path, in Unicode's composed form: ``é`` has two spellings."""
        return unicodedata.normalize("NFC", self.path.rpartition("/")[2])

    @property
    def full(self) -> list[Folder]:
        """The folders directly in it that hold images."""
        return [each for each in self.folders.values() if each.total]

    def walk(self) -> Iterator[Folder]:
        """Yield the folder and all below it, each before those in it."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting.extend(folder.folders.values())

    def all_images(self) -> list[str]:
        """The images in it, however deep."""
        return [path for each in self.walk() for path in each.images]

    def inside(self) -> Folder:
        """Step through wrappers, as in ``seg_train/seg_train/cat`` and ``train/images/cat``."""
        inner = self
        while not inner.images and len(inner.full) == 1:
            (only,) = inner.full
            if not only.full or not (says_nothing(only.name) or only.name == self.name):
                break
            inner = only
        return inner


def table_hint(entries: Iterable[Entry]) -> str:
    """Help who has a table of labels beside the images, or a saved data set."""
    entries = list(entries)
    if any(each.path in SAVED for each in entries):
        return " If it is a data set that save_to_disk wrote, put hf: before its name."
    tables = [each.path for each in entries if each.path.lower().endswith(_TABLES)]
    return f" If the labels are in {quote(tables[0])}, give that file." if len(tables) == 1 else ""


def read_tree(entries: Iterable[Entry]) -> tuple[Folder, list[Entry]]:
    """Put entries into their folders.

    Returns:
        The source, and the folders that headfit wrote itself.
    """
    root = Folder()
    folders = {"": root}
    own = []
    for entry in entries:
        if entry.reason == OWN:
            own.append(entry)
            continue
        folder = _folder(folders, entry.path.rpartition("/")[0])
        if entry.reason is None:
            folder.images.append(entry.path)
        else:
            folder.others.append(entry)
    for folder in reversed(list(root.walk())):  # the deepest last
        folder.total = len(folder.images) + sum(each.total for each in folder.folders.values())
    return root, own


def _folder(folders: dict[str, Folder], path: str) -> Folder:
    """Return the folder of a path; make it, and those above it, where needed."""
    missing = []
    at = path
    while at not in folders:
        missing.append(at)
        at = at.rpartition("/")[0]
    for each in reversed(missing):
        parent, _, name = each.rpartition("/")
        folders[each] = folders[parent].folders[name] = Folder(each)
    return folders[path]
