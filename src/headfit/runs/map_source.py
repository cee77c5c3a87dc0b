"""Where a run gets its images, and their feature maps: from the store or from the backbone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.engines.engine import INT8, Engine, Joint, open_engine, open_joint
from headfit.backbones.engines.interface import OWN_END
from headfit.backbones.graphs import int8
from headfit.backbones.weights import RANDOM
from headfit.errors import DataError, UsageError
from headfit.features.extract import Extraction, extract
from headfit.features.store import FeatureStore, feature_key
from headfit.images.contract import Contract
from headfit.images.depth import PLAIN, Depth
from headfit.images.first_look import look_at
from headfit.images.index import ImageIndex
from headfit.images.overview import counted_names
from headfit.images.sources import open_source
from headfit.images.targets import CLASS
from headfit.progress import Callback
from headfit.report.text.features import depth_lines, equal_maps
from headfit.report.text.images import (
    classes_line,
    left_out_classes,
    left_out_lines,
    unreadable_classes,
)
from headfit.runs.grid import GridPoint
from headfit.runs.options import Options
from headfit.util.cache import FEATURES
from headfit.util.nouns import counted

SEPARATOR = ":"
Images = ImageIndex | str | os.PathLike[str]
"""What a user gives: an index, or the path of what to make one of."""


def open_index(
    images: Images, options: Options, callback: Callback, check: Callable[[ImageIndex], None]
) -> ImageIndex:
    """Give the index of a source, or the index itself; ``check`` raises if it does not suit.

    Raises:
        UsageError: if ``images`` is neither, or the folder does not exist.
        DataError: if the folder holds no images, one class only, or too few.
    """
    if not isinstance(images, ImageIndex | str | os.PathLike):
        raise UsageError.invalid(
            "images",
            type(images).__name__,
            "a folder, a table or a headfit.ImageIndex",
            "`headfit.ImageIndex.from_table` makes an index of a DataFrame.",
        )
    if not images:
        raise UsageError.invalid("images", images, "a folder, a table or a headfit.ImageIndex")
    callback.on_stage_begin("Looking for images", 1)
    if isinstance(images, ImageIndex):
        options.check_index()
        index = images
    else:
        index = ImageIndex.from_source(open_source(images, **options.reading))
    left_out = (each for each in index.skipped if not each.is_told)
    for line in (classes_line(index), *index.notes, *left_out_lines(left_out, index.targets.kind)):
        callback.on_message(line)
    options.check_targets(index.targets.kind)
    check(index)
    names = counted_names(index.targets)
    callback.on_progress(1, f"{counted(len(index), 'image')}, {names}")
    return index


def require_classes(
    parts: Sequence[Extraction],
    skip_empty_classes: bool | None,
    callback: Callback,
    before: ImageIndex,
) -> list[Extraction]:
    """Say what could not be read, and see to it that no class is lost in silence.

    Args:
        parts: the maps of the same images for each source.
        skip_empty_classes: whether a class without training images is left out; None if the
            command cannot do without any.
        callback: receives the messages.
        before: the images before they were read.

    Returns:
        The same, without classes that are left out.

    Raises:
        DataError: a class has no training images left, or only one class is left.
    """
    index = parts[0].index
    listed = set(before.skipped)
    kind = index.targets.kind
    unread = [each for each in index.skipped if each not in listed]
    for line in left_out_lines(unread, kind):
        callback.on_message(line)
    counts = index.targets.subset(index.training).counts()
    lost = [name for name, count in counts.items() if not count]
    if not lost:
        return list(parts)
    if not skip_empty_classes or len(counts) - len(lost) < (2 if kind == CLASS else 1):
        optional = skip_empty_classes is not None
        raise DataError(unreadable_classes(lost, unread, optional=optional, kind=kind))
    callback.on_message(left_out_classes(lost, kind))
    return [each.without_classes(lost) for each in parts]


def find_depth(index: ImageIndex, callback: Callback) -> Depth:
    """Choose how images of more than 8 bits are scaled, and say it."""
    seen = look_at(index)
    for line in depth_lines(seen):
        callback.on_message(line)
    return seen.depth


def notes_on(points: Sequence[GridPoint]) -> list[str]:
    """Say what a user has to know of the backbones."""
    names = dict.fromkeys(point.spec.name for point in points if point.weights == RANDOM)
    random = [
        f"WARNING: {name} has RANDOM weights: these scores say nothing about a pretrained backbone."
        for name in names
    ]
    return [*random, *dict.fromkeys(note for point in points for note in point.spec.notes)]


@dataclass(frozen=True)
class MapSource:
    """A backbone with all that decides its maps.

    Attributes:
        spec: the backbone.
        contract: its preprocessing.
        weights: ``"imagenet"``, ``"random"`` or a path.
        options: engine, and how maps are stored.
        callback: receives the progress.
        calibration: the images that int8 takes its ranges from; None for float32.
        cut: the layer that the backbone ends at; empty for its own end.
        extra: whether it is there for heads on several layers only.
    """

    spec: BackboneSpec
    contract: Contract
    weights: str
    options: Options
    callback: Callback
    calibration: int8.CalibrationImages | None = None
    cut: str = ""
    extra: bool = False

    @classmethod
    def of(
        cls,
        point: GridPoint,
        options: Options,
        callback: Callback,
        calibration: int8.CalibrationImages | None = None,
        depth: Depth = PLAIN,
    ) -> MapSource:
        """Make the source of a point of the grid."""
        contract = point.spec.contract(point.size).with_depth(depth)
        end = point.cut, point.extra
        return cls(point.spec, contract, point.weights, options, callback, calibration, *end)

    def with_depth(self, depth: Depth) -> MapSource:
        """Return the source for a data set of another depth."""
        return replace(self, contract=self.contract.with_depth(depth))

    @property
    def pass_name(self) -> str:
        """Name the backbone, and its input where that is not its own."""
        usual = self.contract.width == self.spec.size
        return self.spec.name if usual else f"{self.spec.name} at {self.contract.width} px"

    @property
    def key(self) -> str:
        """Digest all but the image that decides a map."""
        return feature_key(
            self.spec,
            self.contract,
            self.weights,
            engine=self.options.engine,
            dtype=self.options.feature_dtype,
            calibration=self.calibration.digest if self.calibration else "",
            cut=self.cut,
        )

    def shares_pass(self, other: MapSource) -> bool:
        """Whether one pass gives the maps of both: they differ by nothing but the cut.

        In int8 each cut has a pass of its own: ranges of a graph depend on where it ends.
        """
        return self.calibration is None and self == replace(other, cut=self.cut, extra=self.extra)

    def open(self) -> Engine:
        """Open the engine.

        Raises:
            EngineError, WeightsError: if the backbone cannot run.
        """
        return open_engine(
            self.spec,
            self.contract,
            self.weights,
            engine=self.options.engine,
            calibration=self.calibration,
            tell=self.callback.on_message,
            cut=self.cut,
        )

    def float32(self, index: ImageIndex, digests: list[str]) -> Extraction:
        """Get the maps of all images in float32.

        Args:
            index: images that could be read before.
            digests: of their contents then.

        Raises:
            DataError: if one of them has changed since.
        """
        (extraction,) = maps_of([replace(self, calibration=None)], index)
        if list(extraction.digests) != digests:
            raise DataError(
                f"Images in '{index.source.location}' changed during the run. Run it again."
            )
        return extraction


def maps_of(
    sources: Sequence[MapSource],
    index: ImageIndex,
    opened: Callable[[Joint, FeatureStore], None] = lambda joint, store: None,
) -> list[Extraction]:
    """Get the maps of all images, in one pass.

    Args:
        sources: that share a pass.
        index: the images.
        opened: called when the engine is opened, with it and the first store.

    Returns:
        What the pass gave for each source.

    Raises:
        DataError: if no image can be read.
        EngineError, WeightsError: if the backbone cannot run.
        UsageError: if a cut is not one of its layers.
        WriteError: if a store cannot be written.
    """
    first = sources[0]
    stores = [FeatureStore(FEATURES.path(source.key)) for source in sources]
    damaged = sum(len(store.damaged) for store in stores)
    if damaged:
        first.callback.on_message(
            f"Damaged, computed again: {counted(damaged, 'block')} of the feature store."
        )

    def opening() -> Joint:
        joint = _open(sources)
        opened(joint, stores[0])
        return joint

    extractions = extract(
        index, first.contract, stores, opening, first.callback, dtype=first.options.feature_dtype
    )
    for source, extraction in zip(sources, extractions, strict=True):
        if extraction.maps.equal():
            first.callback.on_message(equal_maps(source.pass_name, extraction.digests))
    return extractions


def _open(sources: Sequence[MapSource]) -> Joint:
    first = sources[0]
    if len(sources) == 1:
        return Joint.of(first.open())
    return open_joint(
        first.spec,
        first.contract,
        first.weights,
        [source.cut for source in sources],
        engine=first.options.engine,
        tell=first.callback.on_message,
    )


def source_names(sources: Sequence[MapSource]) -> list[str]:
    """Name sources by what tells them apart: ``VGG16:160px:block4_pool``.

    A source alone is named by its backbone, and so are several that each have a backbone of their
    own. One that is there for heads on several layers only is named as the source beside it, unless
    it joins several cuts.
    """
    ends = list(dict.fromkeys(source.cut for source in sources if not source.extra))
    one = ends[0] if len(ends) == 1 else None
    places = [
        (
            source.spec.name,
            f"{source.contract.width}px",
            (source.cut if one is None else one) or OWN_END,
        )
        for source in sources
    ]
    backbones, *others = zip(*places, strict=True)
    # backbones that each have their own size need no other word
    columns = [backbones] if len(set(backbones)) == len(set(places)) else []
    columns = columns or [column for column in (backbones, *others) if len(set(column)) > 1]
    return [SEPARATOR.join(words) for words in zip(*columns, strict=True)]


def group_by_pass(sources: Iterable[MapSource]) -> list[list[MapSource]]:
    """Gather sources that share a pass, in the order of the first of each."""
    shared: list[list[MapSource]] = []
    for source in sources:
        mates = next((each for each in shared if each[0].shares_pass(source)), None)
        if mates is None:
            shared.append([source])
        else:
            mates.append(source)
    return shared


def calibration(index: ImageIndex, options: Options) -> int8.CalibrationImages | None:
    """Choose the images that int8 takes its ranges from, never those to test on; None if float32.

    Raises:
        DataError: if none can be read.
    """
    if options.precision != INT8:
        return None
    paths = [index.paths[row] for row in index.training]
    return int8.calibration(paths, index.source.read_bytes)
