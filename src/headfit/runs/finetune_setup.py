"""What trainings of a backbone start from: images, folds, maps of all views, and the parts."""

from __future__ import annotations

from dataclasses import dataclass

from headfit.fitting.problem import Problem
from headfit.images.index import ImageIndex
from headfit.images.per_class import require_per_class
from headfit.progress import Callback
from headfit.report.text.images import not_ranked
from headfit.report.text.summary import balance_lines
from headfit.runs.balance import Balance, fewest_of_class
from headfit.runs.candidates import CandidateBackbone
from headfit.runs.clock import Clock
from headfit.runs.extracted_views import extract_all
from headfit.runs.finetune_options import FinetuneOptions
from headfit.runs.grouping import UserGroups, find_groups
from headfit.runs.map_source import Images, MapSource, find_depth, open_index
from headfit.runs.options import MIN_FOLDS
from headfit.runs.results import Comparison
from headfit.runs.tuning import Part, Tuning, parts_of
from headfit.study.protocol.splits import make_splits


@dataclass(frozen=True, eq=False)
class Setup:
    """Images that are ready to train on.

    Attributes:
        comparison: the backbone without any row, labels, folds and groups.
        tuning: the images as every part takes them.
        parts: what is trained.
    """

    comparison: Comparison
    tuning: Tuning
    parts: list[Part]


def set_up(images: Images, options: FinetuneOptions, callback: Callback, clock: Clock) -> Setup:
    """Read the images, run them through the backbone, deal them to folds.

    Args:
        images: as for :func:`headfit.finetune`.
        options: settings, which are checked first.
        callback: follows the run.
        clock: measures the stages.

    Raises:
        UsageError, DataError, WeightsError, EngineError, WriteError: as for
            :func:`headfit.finetune`.
    """
    point, recipe, views = options.check()
    settings = options.comparison()
    _, (head,) = settings.check()

    def require(index: ImageIndex) -> None:
        targets = index.targets.subset(index.training)
        require_per_class(targets, fewest_of_class(targets, settings))

    index = open_index(images, settings, callback, require)
    if index.unlabelled:
        callback.on_message(not_ranked(len(index.unlabelled)))
    user_groups = UserGroups.read(index, settings)
    depth = find_depth(index, callback)
    source = MapSource.of(point, settings, callback, None, depth)
    clock.lap("audit")
    callback.on_stage_begin("Building the backbone", 1)
    parts = parts_of(source, options.parts, scratch=options.scratch)
    callback.on_progress(1, "; ".join(map(_described, parts)))
    starts = list(dict.fromkeys(part.start for part in parts if part.start))
    found = extract_all(source, index, starts, views, require)
    extraction = found.extraction
    backbone = CandidateBackbone(source.spec.name, source, extraction, extraction.index.training)
    clock.lap("decode_and_extract")
    (head,) = backbone.suitable([head], callback, strict=True)
    rows = backbone.rows
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
    )
    for label, line in balance_lines(balance.facts, split.folds).items():
        callback.on_message(f"{label}: {line}.")
    problem = Problem(targets, split, seed=settings.seed)
    tuning = Tuning(source, head, recipe, views, found, rows, problem)
    comparison = Comparison([backbone], problem, settings, groups, balance.facts)
    return Setup(comparison, tuning, parts)


def _described(part: Part) -> str:
    start = f"after {part.start}" if part.start else "from the first layer"
    return f"{part.name}: {start}, {part.parameters:,} weights"
