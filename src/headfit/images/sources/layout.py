"""How the names of files become classes and splits: the same for folders and archives.

Three layouts are recognised::

    cat/001.jpg                 Training/cat/001.jpg                    cat/train/001.jpg
    dog/deep/er/002.png         val_images/dog/002.png                  dog/test/002.jpg
                                test/003.jpg  (no label: predicted, never a class)

Names that can be read in two ways are refused; ``splits`` chooses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from headfit.errors import DataError
from headfit.images.decode import IMAGE_SUFFIXES
from headfit.images.sources.reading import Reading, listed, read_folders
from headfit.images.sources.source import REMEDIES, Skipped, links_remedy, quote
from headfit.images.sources.splits import split_roles
from headfit.images.sources.tree import Folder, read_tree, table_hint
from headfit.images.sources.walk import EMPTY, OWN, Entry, is_clutter, is_own_output, why_not_image
from headfit.util.nouns import counted

EXPECTED = "Expected one sub-folder for each class, with its images inside"
OUTSIDE = "lies outside any class folder"
NO_CLASS = "a folder without images, so not a class"
# a folder of nothing else was never meant for a class
_DOCUMENTS = re.compile(
    r".*\.(txt|md|rst|[ct]sv|jsonl?|xml|ya?ml|toml|py|ipynb|html|pdf|xlsx?|docx|log|sh|parquet"
    r"|keras|h5|pt|pth|onnx|pkl|np[yz])",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Layout:
    """The images of a folder or an archive, sorted by class and then path.

    Attributes:
        paths: posix, relative to the source.
        labels: the class of each, in Unicode's composed form.
        splits: ``"train"``, ``"validation"`` or ``"test"`` for each.
        unlabelled: images beside the training images that no class folder holds, sorted.
        skipped: what was passed over; ``label`` names the class that it would belong to.
        notes: sentences about the reading that was chosen.
    """

    paths: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[str]
    unlabelled: Sequence[str] = ()
    skipped: Sequence[Skipped] = ()
    notes: Sequence[str] = ()


def read_layout(
    entries: Iterable[Entry],
    where: str,
    *,
    splits: bool | None = None,
    skip_empty_classes: bool = False,
    unwrap: bool = False,
) -> Layout:
    """Read classes and splits off the names of files.

    Args:
        entries: what lies in the source: from :func:`headfit.images.sources.walk.walk` for a
            folder, from :func:`entries_of` for an archive.
        where: the source, quoted, for messages.
        splits: whether its folders are ``train``/``val``/``test`` folders of class folders (True)
            or classes (False). If None, the names decide, and those that fit both are refused.
        skip_empty_classes: whether classes without images are left out rather than refused.
        unwrap: whether a single folder that holds everything is stepped into, as archives have it.

    Raises:
        DataError: there are no images, the names can be read in two ways, a class has no images,
            or classes of two splits differ by upper and lower case only.

    Example:

    >>> names = ["Train/cat/1.jpg", "Train/dog/2.jpg", "test/3.jpg"]
    >>> layout = read_layout([Entry(name, None) for name in names], "'photos'")
    >>> layout.labels, layout.splits, layout.unlabelled
    (('cat', 'dog'), ('train', 'train'), ['test/3.jpg'])
    """
    root, own = read_tree(entries)
    if not root.full:
        raise DataError(_no_classes(root, where))
    while unwrap and _is_wrapper(root):
        (root,) = root.full
    reading = read_folders(root, where, splits)
    lost = _lost(root, reading)
    if lost and not skip_empty_classes:
        names = [f"{quote(each.name)} ({_reasons(_others(each))})" for each in lost]
        raise DataError(
            f"Classes without images in {where}: {listed(names)}. Add images to them, or leave "
            "them out with `skip_empty_classes=True`."
            f"{links_remedy(entry.reason for each in lost for entry in _others(each))}"
        )
    reading.drop([each.name for each in lost])
    _check_case(reading)
    rows = sorted(
        (each.label, path, each.split)
        for each in reading.classes
        for path in each.folder.all_images()
    )
    labels, paths, parts = zip(*rows, strict=True) if rows else ((), (), ())
    unlabelled = sorted(path for each in reading.unlabelled for path in each.all_images())
    skipped = [Skipped(each.path.rstrip("/"), OWN) for each in own]
    skipped += _skipped(root, reading)
    notes = [f"Read as splits: {reading.splits}."] if reading.splits else []
    return Layout(paths, labels, parts, unlabelled, skipped, notes)


def entries_of(names: Iterable[str], read: Callable[[str], bytes]) -> list[Entry]:
    """Sort the names in an archive as ``walk`` sorts a folder.

    Args:
        names: posix, of files; those of folders end with a slash.
        read: returns at least the first 256 bytes of a file. Called for few of them, to recognise
            what headfit wrote itself.
    """
    names = [name for name in names if not any(map(is_clutter, name.rstrip("/").split("/")))]
    inside: dict[str, list[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        if file:
            inside.setdefault(folder, []).append(file)
    filled = {""}
    for folder in inside:
        while folder not in filled:
            filled.add(folder)
            folder = folder.rpartition("/")[0]
    own = tuple(
        f"{folder}/" for folder, files in inside.items() if folder and _is_own(folder, files, read)
    )
    entries = [Entry(folder, OWN) for folder in own]
    for name in names:
        if name[-1:] != "/":
            if not name.startswith(own):
                entries.append(Entry(name, why_not_image(name)))
        elif name[:-1] not in filled:
            entries.append(Entry(name, EMPTY))
    return entries


def _is_own(folder: str, files: Sequence[str], read: Callable[[str], bytes]) -> bool:
    return is_own_output(files, lambda file: read(f"{folder}/{file}"))


def _is_wrapper(root: Folder) -> bool:
    """Whether everything lies in one folder that is no split."""
    if root.images or len(root.full) != 1:
        return False
    (only,) = root.full
    return bool(only.full) and not split_roles([only.name])


def _no_classes(root: Folder, where: str) -> str:
    hint = table_hint(root.others)
    others = _others(root)
    hint += links_remedy(each.reason for each in others)
    if root.total:
        count = counted(root.total, "image")
        return f"No class folders in {where}: {count} outside of any. {EXPECTED}.{hint}"
    content = f" ({_reasons(others)})" if others else ""
    suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
    return f"No images in {where}{content}. {EXPECTED} ({suffixes}).{hint}"


def _lost(root: Folder, reading: Reading) -> list[Folder]:
    """Find folders that stand where classes do, but hold no images."""
    trained = reading.trained()
    return [
        folder
        for place in reading.places
        for folder in place.folders.values()
        if not folder.total and folder.name not in trained and not _is_aside(folder)
    ]


def _is_aside(folder: Folder) -> bool:
    """Whether a folder without images was never meant for a class."""
    files = [each.path for each in _others(folder) if not each.path.endswith("/")]
    if folder.name in ("headfit-run", "headfit-explain"):
        return True
    return bool(files) and all(map(_DOCUMENTS.fullmatch, files))


def _others(folder: Folder) -> list[Entry]:
    return [entry for each in folder.walk() for entry in each.others]


def _reasons(entries: Sequence[Entry]) -> str:
    """Say why entries are no images, the most frequent reason first."""
    counts = Counter(entry.reason for entry in entries).most_common()
    return listed(f"{count} × {reason}" for reason, count in counts)


def _check_case(reading: Reading) -> None:
    trained = reading.trained()
    by_fold = {label.casefold(): label for label in trained}
    for each in reading.classes:
        near = by_fold.get(each.label.casefold())
        if each.label not in trained and near is not None:
            raise DataError(
                f"The classes {quote(near)} (train) and {quote(each.label)} ({each.split}) differ "
                "by upper and lower case only. Give them one name."
            )


def _skipped(root: Folder, reading: Reading) -> list[Skipped]:
    """List what was passed over, with the class that it would belong to."""
    classes = {each.folder.path: each.label for each in reading.classes}
    held = {*classes, *(each.path for each in reading.unlabelled)}
    lost = {
        each.path for place in reading.places for each in place.folders.values() if not each.total
    }
    skipped = []
    waiting = [(root, "", False)]
    while waiting:
        folder, label, is_held = waiting.pop()
        if folder.path in reading.left_out:
            skipped.append(Skipped(folder.path, reading.left_out[folder.path]))
            continue
        if folder.path in lost:
            skipped.append(Skipped(folder.path, NO_CLASS))
        label, is_held = classes.get(folder.path, label), is_held or folder.path in held
        for each in folder.others:
            if each.path.rstrip("/") not in lost:
                path, reason = each.path.rstrip("/"), str(each.reason)
                skipped.append(Skipped(path, reason, label, reason in REMEDIES))
        if not is_held:
            skipped += [Skipped(path, OUTSIDE) for path in folder.images]
        waiting += [(each, label, is_held) for each in folder.folders.values()]
    return skipped
