"""What trainings of backbones start from: images, folds, maps of all views, and the parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from headfit.errors import UsageError
from headfit.features.views import Views
from headfit.fitting.problem import Problem
from headfit.images.index import ImageIndex
from headfit.images.per_class import require_per_class
from headfit.images.targets import NUMBER
from headfit.progress import Callback
from headfit.report.text.images import not_ranked
from headfit.report.text.summary import balance_lines
from headfit.runs.balance import Balance, fewest_of_class
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.clock import Clock
from headfit.runs.extracted_views import ExtractedViews, extract_all
from headfit.runs.finetune_options import FinetuneOptions
from headfit.runs.grouping import UserGroups, find_groups
from headfit.runs.map_source import (
    Images,
    MapSource,
    find_depth,
    notes_on,
    open_index,
    require_classes,
)
from headfit.runs.options import MIN_FOLDS
from headfit.runs.results import Comparison
from headfit.runs.tuning import Part, Tuning, parts_of
from headfit.study.protocol.splits import make_splits


@dataclass(frozen=True, eq=False)
class Setup:
    """Images that are ready to train on.

    Attributes:
        comparison: the backbones without any row, labels, folds and groups.
        tunings: for each of them, the images as every part takes them.
    """

    comparison: Comparison
    tunings: list[Tuning]


def set_up(images: Images, options: FinetuneOptions, callback: Callback, clock: Clock) -> Setup:
    """Read the images, run them through the backbones, deal them to folds.

    Args:
        images: as for :func:`headfit.finetune`.
        options: settings, which are checked first.
        callback: follows the run.
        clock: measures the stages.

    Raises:
        UsageError, DataError, WeightsError, EngineError, WriteError: as for
            :func:`headfit.finetune`.
    """
    points, recipe, views = options.check()
    settings = options.comparison()
    _, heads = settings.check()
    for line in notes_on(points):
        callback.on_message(line)

    def require(index: ImageIndex) -> None:
        targets = index.targets.subset(index.training)
        if targets.kind == NUMBER and recipe.label_smoothing:
            raise UsageError.invalid(
                "label_smoothing",
                recipe.label_smoothing,
                "0 for numbers",
                "Only probabilities are smoothed.",
            )
        require_per_class(targets, fewest_of_class(targets, settings))

    index = open_index(images, settings, callback, require)
    if index.unlabelled:
        callback.on_message(not_ranked(len(index.unlabelled)))
    user_groups = UserGroups.read(index, settings)
    depth = find_depth(index, callback)
    sources = [MapSource.of(point, settings, callback, None, depth) for point in points]
    clock.lap("audit")
    parts = [_parts(source, options, callback, len(sources)) for source in sources]
    maps = _maps(sources, parts, index, views, require)
    clock.lap("decode_and_extract")
    extraction = maps[0].extraction
    rows = extraction.index.training
    backbones = [
        CandidateBackbone(source.spec.name, source, found.extraction, rows)
        for source, found in zip(sources, maps, strict=True)
    ]
    balance = Balance.of(extraction.index, rows, settings)
    groups = find_groups(extraction, rows, user_groups, settings, callback)
    targets = balance.targets
    split = make_splits(
        targets.strata,
        folds=balance.folds(groups, settings, callback),
        repeats=settings.rounds,
        seed=settings.seed,
        groups=groups.numbers,
        fewest=MIN_FOLDS if balance.facts["rare"] else None,
        names=targets.names,
        required=targets.kind != NUMBER,
    )
    for label, line in balance_lines(balance.facts, split.folds, targets.kind).items():
        callback.on_message(f"{label}: {line}.")
    problem = Problem(targets, split, seed=settings.seed)
    tunings = []
    for backbone, found, each in zip(backbones, maps, parts, strict=True):
        (head,) = backbone.suitable(heads, callback, strict=True)
        tunings.append(Tuning(backbone.source, head, recipe, views, found, rows, problem, each))
    comparison = Comparison(backbones, problem, settings, groups, balance.facts)
    return Setup(comparison, tunings)


def _parts(
    source: MapSource, options: FinetuneOptions, callback: Callback, backbones: int
) -> list[Part]:
    name = source.spec.name if backbones > 1 else "the backbone"
    callback.on_stage_begin(f"Building {name}", 1)
    parts = parts_of(source, options.parts, scratch=options.scratch)
    callback.on_progress(1, "; ".join(map(_described, parts)))
    return parts


def _maps(
    sources: Sequence[MapSource],
    parts: Sequence[Sequence[Part]],
    index: ImageIndex,
    views: Views,
    require: Callable[[ImageIndex], None],
) -> list[ExtractedViews]:
    """Get the maps of all images that every backbone could read."""
    found = []
    for source, each in zip(sources, parts, strict=True):
        starts = list(dict.fromkeys(part.start for part in each if part.start))
        name = source.pass_name if len(sources) > 1 else "the backbone"
        found.append(extract_all(source, index, starts, views, require, name))
    shared = set.intersection(*(set(each.extraction.index.paths) for each in found))
    kept = [each.extraction.only(shared) for each in found]
    first = sources[0]
    kept = require_classes(kept, first.options.skip_empty_classes, first.callback, index)
    require(kept[0].index)
    return [each.only(extraction) for each, extraction in zip(found, kept, strict=True)]


def _described(part: Part) -> str:
    start = f"after {part.start}" if part.start else "from the first layer"
    return f"{part.name}: {start}, {part.parameters:,} weights"
