"""Which folders of a source are classes and which are splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from headfit.errors import DataError
from headfit.images.sources.source import TRAIN, quote
from headfit.images.sources.splits import lies_beside, says_nothing, split_roles
from headfit.images.sources.tree import Folder, table_hint
from headfit.util.nouns import counted

_SHOWN = 5


@dataclass(frozen=True)
class ClassFolder:
    """A folder of images of one class and one split."""

    label: str
    split: str
    folder: Folder


@dataclass
class Reading:
    """What the folders of a source mean.

    Attributes:
        places: the folders whose sub-folders are classes to train on.
        classes: the class folders.
        unlabelled: folders of images without a label, beside the training images.
        left_out: path of a folder → why it is not read.
        splits: which folders are which split, in words; empty if there are none.
    """

    places: list[Folder]
    classes: list[ClassFolder] = field(default_factory=list)
    unlabelled: list[Folder] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    splits: str = ""

    def trained(self) -> set[str]:
        """Return the classes with training images."""
        return {each.label for each in self.classes if each.split == TRAIN}

    def leave_out(self, folder: Folder) -> None:
        """Do not read a folder that is neither a split nor a class."""
        self.left_out[folder.path] = f"lies beside the splits, {counted(folder.total, 'image')}"

    def drop(self, labels: Collection[str]) -> None:
        """Leave out classes that have no training images."""
        for each in self.classes:
            if each.label in labels:
                self.left_out[each.folder.path] = "its class has no training images"
        self.classes = [each for each in self.classes if each.label not in labels]


def read_folders(root: Folder, where: str, splits: bool | None = None) -> Reading:
    """Say what the folders of a source mean.

    Args:
        root: the source, with images in at least one of its folders.
        where: the source, quoted, for messages.
        splits: whether they are splits; if None, their names decide.

    Raises:
        DataError: they can be read in two ways, or are splits of nothing.
    """
    roles = split_roles(each.name for each in root.full)
    inner = None if roles or splits is False else _splits_in_classes(root)
    if inner is not None:
        names = sorted({name for each in inner.classes for name in _names(each.folder)})
        if splits is None and len(names) > 1:
            raise DataError(
                f"The folders in {where} can be read in several ways. If their classes are "
                f"{_counts(inner.classes)}, set `splits=True` to keep the splits {inner.splits}, "
                "or `splits=False` to ignore them. If the classes are "
                f"{listed(map(quote, names))}, give a folder that holds one set of splits."
            )
        return inner
    if splits is None:
        splits = _are_splits(root, roles, where)
    return _as_splits(root, roles, where) if splits else _as_classes(root)


def _are_splits(root: Folder, roles: Mapping[str, str], where: str) -> bool:
    """Decide by names.

    Raises:
        DataError: they fit both readings.
    """
    training = [each for each in root.full if roles.get(each.name) == TRAIN]
    trained = {name for each in training for name in _names(each)}
    further = [each for each in root.full if each.name not in roles and not lies_beside(each.name)]
    if trained:
        held_out = [each for each in root.full if roles.get(each.name, TRAIN) != TRAIN]
        backed = any(_is_flat(each, trained) or trained & _names(each) for each in held_out)
        if backed or not further:
            return True
    elif roles:
        # one class may well be called train, as a means of transport
        if further and set(roles.values()) == {TRAIN}:
            return False
    elif not _share_names(root.full):
        return False
    raise DataError(_two_readings(root, roles, where))


def _share_names(folders: Sequence[Folder]) -> bool:
    """Whether the sub-folders look like classes that each of the folders has."""
    if len(folders) < 2 or any(each.inside().images for each in folders):
        return False
    counts = Counter(name for each in folders for name in _names(each))
    shared = [name for name, count in counts.items() if count > 1 and not says_nothing(name)]
    return len(counts) > 1 and 2 * len(shared) >= len(counts)


def _names(folder: Folder) -> set[str]:
    return {each.name for each in folder.inside().full}


def _is_flat(folder: Folder, trained: Collection[str]) -> bool:
    """Whether a folder holds images without class folders: directly, or in ``unknown``."""
    inner = folder.inside()
    if inner.images or len(inner.full) != 1:
        return not inner.full
    (only,) = inner.full
    return only.name not in trained and (says_nothing(only.name) or only.name == folder.name)


def _as_classes(root: Folder) -> Reading:
    classes = [ClassFolder(each.name, TRAIN, each) for each in root.full]
    return Reading([root], classes)


def _as_splits(root: Folder, named: Mapping[str, str], where: str) -> Reading:
    """Read folders of splits; if none is named like one, all hold training images."""
    roles = named or {each.name: TRAIN for each in root.full}
    training = [each for each in root.full if roles.get(each.name) == TRAIN]
    rest = [each for each in root.full if each.name not in roles]
    # class folders beside a test folder are training images
    reading = Reading([each.inside() for each in training] or [root])
    trained = {name for each in training for name in _names(each)} or {each.name for each in rest}
    for each in rest:
        if training or lies_beside(each.name):
            reading.leave_out(each)
        else:
            reading.classes.append(ClassFolder(each.name, TRAIN, each))
    first: dict[str, Folder] = {}
    for each in root.full:
        split = roles.get(each.name)
        if split is None:
            continue
        if split != TRAIN and _is_flat(each, trained):
            reading.unlabelled.append(each)
            continue
        other = first.setdefault(split, each)
        if named and other is not each:
            raise DataError(
                f"{quote(other.name)} and {quote(each.name)} in {where} are the same split. Keep "
                "one."
            )
        if not _names(each):
            raise DataError(
                f"{quote(each.name)} in {where} holds no class folders. Expected class folders in "
                f"it, with the images inside.{table_hint(root.others)}"
            )
        reading.classes += [ClassFolder(one.name, split, one) for one in each.inside().full]
    remarks = {each.name: "no labels" for each in reading.unlabelled}
    shown = [f"{quote(name)} ({remarks.get(name, role)})" for name, role in roles.items()]
    reading.splits = listed(shown)
    return reading


def _splits_in_classes(root: Folder) -> Reading | None:
    """Read ``cat/train``, ``cat/test``, ``dog/train`` …; None if that is not the layout."""
    reading = Reading([root])
    shown: dict[str, str] = {}
    for top in root.full:
        roles = split_roles(each.name for each in top.full)
        if top.images or TRAIN not in roles.values():
            return None
        for each in top.full:
            if each.name in roles:
                reading.classes.append(ClassFolder(top.name, roles[each.name], each))
            else:
                reading.leave_out(each)
        shown |= {name: f"{quote(name)} ({role})" for name, role in roles.items()}
    reading.splits = f"{listed(shown.values())} in each class folder"
    several = len(root.full) > 1 and len({each.split for each in reading.classes}) > 1
    return reading if several else None


def _two_readings(root: Folder, roles: Mapping[str, str], where: str) -> str:
    classes = _counts(_as_classes(root).classes)
    try:
        other = _as_splits(root, roles, where)
    except DataError as error:
        return f"{error} If {classes} are the classes, set `splits=False`."
    without = listed(quote(path) for path in other.left_out)
    return (
        f"The folders in {where} can be read in two ways. As the classes {classes}: choose this "
        f"with `splits=False`. As the splits {other.splits}, with the classes "
        f"{_counts(other.classes)}{f', without {without}' if without else ''}: choose this with "
        "`splits=True`."
    )


def _counts(classes: Iterable[ClassFolder]) -> str:
    totals: Counter[str] = Counter()
    for each in classes:
        totals[each.label] += each.folder.total
    return listed(f"{quote(name)} ({count})" for name, count in sorted(totals.items()))


def listed(names: Iterable[str]) -> str:
    """Join names, the first five of many."""
    every = list(names)
    more = len(every) - _SHOWN
    return ", ".join(every[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
