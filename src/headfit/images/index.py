"""The images of a data set: what each shows, its split and its group."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from headfit.errors import UsageError
from headfit.images import overview
from headfit.images.per_class import require
from headfit.images.sources.archive import ArchiveSource
from headfit.images.sources.files import FileSource
from headfit.images.sources.folder import FolderSource
from headfit.images.sources.source import TEST, ImageSource, Skipped
from headfit.images.sources.table import TableSource
from headfit.images.targets import SEPARATOR, Targets
from headfit.util import html as display
from headfit.util.nouns import counted


@dataclass(frozen=True, eq=False)
class ImageIndex:
    """The images of a data set, in an order that is the same on every operating system.

    Attributes:
        source: where the images are; :meth:`read_bytes` opens one.
        paths: name of each image within the source: posix, for a folder relative to it.
        targets: what a model is to predict for each image.
        splits: ``"train"``, ``"validation"`` or ``"test"`` for each image.
        groups: images of one group stay in one fold; None for an image that stands alone, and
            None if the source names no groups.
        skipped: what was passed over, sorted by path.
        notes: sentences about how the source was read, which a run says.
        unlabelled: images beside the training images that have no class; sorted.

    Example:

    ```python
    index = hf.ImageIndex.from_directory("photos")
    index.counts()  # {"cat": 300, "dog": 280}
    index.paths[0], index.labels[0]  # ("cat/001.jpg", 0)
    ```
    """

    source: ImageSource
    paths: tuple[str, ...]
    targets: Targets
    splits: tuple[str, ...]
    groups: tuple[str | None, ...] | None = None
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    unlabelled: tuple[str, ...] = ()

    @classmethod
    def from_directory(
        cls,
        folder: str | os.PathLike[str],
        *,
        min_per_class: int = 1,
        splits: bool | None = None,
        follow_links: bool = False,
        skip_empty_classes: bool = False,
    ) -> ImageIndex:
        """Index a folder of class folders, or of ``train``/``val``/``test`` folders of those.

        Names such as ``Training``, ``seg_train`` or ``val_images`` are splits, too. Images beside
        the training images that no class folder holds are ``unlabelled``. Hidden entries are
        ignored, and so is what headfit wrote itself. The images are sorted by class and then by
        path.

        Args:
            folder: the folder.
            min_per_class: the fewest training and validation images that a class may have.
            splits: whether its folders are splits (True) or classes (False). If None, their names
                decide, and names that can be read in two ways are refused.
            follow_links: whether links are followed that point outside the folder. A file is one
                image however many links point to it, and none if it is linked into two classes.
            skip_empty_classes: whether classes without images are left out rather than refused.

        Raises:
            UsageError: the folder does not exist or is a file, or an argument is invalid.
            DataError: a folder cannot be read, there are no images or fewer than two classes, a
                class has too few images, or none to train on, or the folders can be read in two
                ways.
        """
        if min_per_class < 1:
            raise UsageError.invalid("min_per_class", min_per_class, "at least 1")
        source = FolderSource.of(
            folder,
            splits=splits,
            follow_links=follow_links,
            skip_empty_classes=skip_empty_classes,
        )
        index = cls.from_source(source)
        require(index.targets.subset(index.training), min_per_class, "min_per_class", 1)
        return index

    @classmethod
    def from_paths(
        cls,
        paths: Iterable[str | os.PathLike[str]],
        labels: Iterable[Any],
        *,
        groups: Iterable[str | int | None] | None = None,
        splits: Iterable[str] | None = None,
        weights: Iterable[float] | None = None,
        target: str | None = None,
        label_separator: str = SEPARATOR,
    ) -> ImageIndex:
        """Index a list of image files. The images keep the order of the list.

        Args:
            paths: n image files.
            labels: the class of each, a name or a whole number; its labels, a list of names; or its
                number. Several columns of numbers, or of 0 and 1 for labels, are a dict or a
                DataFrame.
            groups: the group of each; images of one group (one patient, one machine) stay in one
                fold, as with ``groups`` of :func:`headfit.compare`. None for an image that stands
                alone.
            splits: ``"train"``, ``"validation"`` or ``"test"`` for each; all are for training if
                None.
            weights: how much each image counts, above 0; all count alike if None.
            target: ``"class"``, ``"labels"`` or ``"number"``; if None, ``labels`` decide.
            label_separator: what stands between labels that are one text.

        Raises:
            UsageError: the lists differ in length, a file does not exist or is named twice, a
                class is neither a name nor a whole number, a split is unknown, or a weight is not
                above 0.
            DataError: the list is empty, there are fewer than two classes, a class or label has no
                images to train on, or a number is missing.

        Example:

        ```python
        table = pandas.read_csv("images.csv")
        index = hf.ImageIndex.from_paths(table.path, table.label, groups=table.patient)
        ```
        """
        return cls.from_source(
            FileSource.of(paths, labels, groups, splits, weights, target, label_separator)
        )

    @classmethod
    def from_archive(
        cls,
        archive: str | os.PathLike[str],
        *,
        splits: bool | None = None,
        skip_empty_classes: bool = False,
    ) -> ImageIndex:
        """Index a ``.zip``, ``.tar``, ``.tar.gz``, ``.tar.bz2`` or ``.tar.xz`` of class folders.

        It is laid out like a folder for :meth:`from_directory`, and may lie in one more folder.
        Nothing is unpacked to disk. The images of a compressed ``.tar`` are held in memory.

        Args:
            archive: its path.
            splits: as for :meth:`from_directory`.
            skip_empty_classes: as for :meth:`from_directory`.

        Raises:
            UsageError: there is no such file, or an argument is invalid.
            DataError: the archive is damaged, encrypted or over its limits, or its images cannot
                be learned from.

        Example:

        ```python
        index = hf.ImageIndex.from_archive("photos.zip")
        ```
        """
        options = {"splits": splits, "skip_empty_classes": skip_empty_classes}
        return cls.from_source(ArchiveSource.of(archive, **options))

    @classmethod
    def from_table(
        cls,
        table: Any,
        *,
        root: str | os.PathLike[str] | None = None,
        path_column: str | None = None,
        label_column: str | Iterable[str] | None = None,
        split_column: str | None = None,
        group_column: str | None = None,
        weight_column: str | None = None,
        target: str | None = None,
        label_separator: str = SEPARATOR,
        strict: bool = False,
        follow_links: bool = False,
    ) -> ImageIndex:
        """Index the image files that a table lists, sorted by class, if they have one, and path.

        A column that is not named is the one called ``path``, ``label``, ``split``, ``group`` or
        ``weight``, or by another usual name such as ``filename`` or ``class``, if there is only
        one. Delimiter, encoding and quotes of a CSV file are found out. What was guessed, and how
        many rows cannot be used and why, is in ``notes``.

        Args:
            table: path of a ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet`` file, or a DataFrame
                of pandas or polars, a pyarrow Table or a dict of columns.
            root: the folder that paths are relative to; that of the table, or the current one for
                a table in memory, if None. A path that leads out of it is not used.
            path_column: column of the image files.
            label_column: column of the classes, of texts such as ``"sea;sky"`` that join labels, or
                of numbers. Several, in a list or separated by commas, hold numbers, or 0 and 1 for
                a label each.
            split_column: column of ``train``, ``validation`` or ``test``. All are for training if
                there is none; ``""`` says that there is none, here and below.
            group_column: column of the groups; images of one group stay in one fold. An image
                whose cell is empty stands alone.
            weight_column: column of the weights, positive numbers.
            target: ``"class"``, ``"labels"`` or ``"number"``; if None, the label cells decide.
            label_separator: what stands between the labels in a cell.
            strict: whether to raise an error where a row cannot be used, or an image that lies
                beside the others has no row.
            follow_links: whether links are followed that point outside the root.

        Raises:
            UsageError: there is no such table, column or root, or several columns of classes.
            DataError: the table cannot be read, it is not plain which column holds the paths or
                the labels, no row can be used, a number is missing, or there are fewer than two
                classes.

        Example:

        ```python
        index = hf.ImageIndex.from_table("photos.csv", label_column="species")
        print(*index.notes)
        ```
        """
        options = {k: v for k, v in locals().items() if k not in ("cls", "table", "root")}
        return cls.from_source(TableSource.of(table, root, **options))

    @classmethod
    def from_source(cls, source: ImageSource) -> ImageIndex:
        """Index whatever lists images and opens them."""
        listing = source.listing()
        return cls(
            source=source,
            paths=tuple(listing.paths),
            targets=listing.targets(),
            splits=tuple(listing.splits),
            groups=None if listing.groups is None else tuple(listing.groups),
            skipped=_by_path(listing.skipped),
            notes=tuple(listing.notes),
            unlabelled=tuple(listing.unlabelled),
        )

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes or labels, sorted by code point, or of the numbers."""
        return self.targets.names

    @property
    def labels(self) -> np.ndarray:
        """The class of each image, int64 (n,), a position in ``classes``; read-only.

        Of several labels int8 (n, K), 1 where an image has one; of numbers float64 (n, K).
        """
        return self.targets.values

    @property
    def weights(self) -> np.ndarray | None:
        """How much each image counts, float64 (n,), read-only; None if all count alike."""
        return self.targets.weights

    @property
    def training(self) -> np.ndarray:
        """Rows of the images that heads are trained and validated on, int (m,)."""
        return np.flatnonzero([split != TEST for split in self.splits])

    @property
    def test(self) -> np.ndarray:
        """Rows of the images of the test split, int (k,)."""
        return np.flatnonzero([split == TEST for split in self.splits])

    def counts(self) -> dict[str, int]:
        """Return how many images each class or label has, over all splits."""
        return self.targets.counts()

    def read_bytes(self, row: int) -> bytes:
        """Return the content of an image's file.

        Raises:
            ImageError: it cannot be read; the message is the reason alone.
        """
        return self.source.read_bytes(self.paths[row])

    def subset(self, which: np.ndarray, extra_skipped: Iterable[Skipped] = ()) -> ImageIndex:
        """Return some of the images; the classes stay, even one that is left without images.

        Args:
            which: bool (n,) mask, or int (m,) positions in the order wanted.
            extra_skipped: what to add to ``skipped``.
        """
        rows = np.arange(len(self))[which]
        return replace(
            self,
            paths=tuple(self.paths[row] for row in rows),
            targets=self.targets.subset(rows),
            splits=tuple(self.splits[row] for row in rows),
            groups=None if self.groups is None else tuple(self.groups[row] for row in rows),
            skipped=_by_path((*self.skipped, *extra_skipped)),
        )

    def without_classes(self, names: Collection[str]) -> ImageIndex:
        """Return the index without some classes and their images, or without some labels."""
        mask, targets = self.targets.without(names)
        lost = np.flatnonzero(~mask).tolist()
        pairs = [(self.paths[row], self.targets.label(row)) for row in lost]
        rest = [Skipped(path, "its class has no training images", name) for path, name in pairs]
        return replace(self.subset(mask, rest), targets=targets)

    def for_prediction(self) -> ImageIndex:
        """Return the images of ``unlabelled`` as a test split; its targets say nothing."""
        count, values = len(self.unlabelled), self.targets.values
        none = np.zeros((count, *values.shape[1:]), values.dtype)
        return replace(
            self,
            paths=self.unlabelled,
            targets=replace(self.targets, values=none, weights=None),
            splits=(TEST,) * count,
            groups=None,
            skipped=(),
            unlabelled=(),
        )

    # both show the source's name only: notebooks are given to others, who need not know the disk
    def __repr__(self) -> str:
        return overview.line(self.source.name, self.targets, self.splits)

    def _repr_html_(self) -> str:
        images = counted(len(self), "image")
        caption = f"{self.source.name}: {images}, {len(self.skipped):,} skipped"
        return display.table(*overview.rows(self.targets), caption)


def _by_path(skipped: Iterable[Skipped]) -> tuple[Skipped, ...]:
    return tuple(sorted(skipped, key=lambda each: each.path))
