"""Fine-tuning on the demo's solar cells: mean accuracy over grouped splits of 75 % and 25 %.

python benchmarks/cells.py                     ten splits, as published figures are reported
python benchmarks/cells.py --splits 3 --epochs 2 --json cells.json

Deitsch et al. (2019) report 82.4 % (hand-made features, SVM) and 88.4 % (VGG19 with global average
pooling, fine-tuned) on one split of 656 test images. Near-duplicates never lie on both sides here.
Everything that is chosen is chosen on the training part of each split.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t
from tables import machine, markdown

from headfit.features.views import Views
from headfit.finetuning.memory import keep_freed_memory
from headfit.finetuning.recipe import Recipe
from headfit.fitting.methods import method_of
from headfit.fitting.pooled import PooledFeatures
from headfit.fitting.problem import Problem
from headfit.fitting.views import OnViews
from headfit.heads.chain import parse_head
from headfit.images.augment import Augmentation
from headfit.images.index import ImageIndex
from headfit.images.sources import open_source
from headfit.progress import Callback
from headfit.runs.extracted_views import extract_all
from headfit.runs.finetune_options import FinetuneOptions
from headfit.runs.grouping import find_groups
from headfit.runs.map_source import MapSource
from headfit.runs.tuning import Tuning, parts_of
from headfit.samples.catalog import write_sample
from headfit.study.protocol.splits import make_splits

QUARTER = 4  # one fold of four is held out
INNER = 4


def main() -> None:
    """Train on every split, and print the table."""
    args = _arguments()
    print(machine())
    keep_freed_memory()
    begun = time.perf_counter()
    options = FinetuneOptions(
        head=args.head, augment=args.augment, views=args.views, seed=args.seed
    )
    settings = options.comparison()
    (point,), (head,) = settings.check()
    place = tempfile.TemporaryDirectory()
    index = _all_cells(Path(place.name) / "cells", args.seed)
    source = MapSource.of(point, settings, Callback())
    (part,) = parts_of(source, [args.unfreeze], scratch=False)
    views = Views(Augmentation.parse(args.augment, args.seed), args.views)
    found = extract_all(source, index, [part.start] if part.start else [], views, lambda _: None)
    extracted = time.perf_counter() - begun
    rows = np.arange(len(found.extraction.index))
    targets = found.extraction.index.targets
    groups = find_groups(found.extraction, rows, None, settings, Callback())
    splits = make_splits(
        targets.strata, folds=QUARTER, repeats=args.splits, seed=args.seed, groups=groups.numbers
    )
    recipe = Recipe(
        (args.learning_rate,),
        epochs=args.epochs,
        head_factor=args.head_factor,
        label_smoothing=args.label_smoothing,
        mixup=args.mixup,
    )
    problem = Problem(targets, splits, seed=args.seed)
    tuning = Tuning(source, head, recipe, views, found, rows, problem)
    table = []
    for repeat in range(args.splits):
        scores = _split(tuning, part, groups.numbers, repeat)
        table.append(scores)
        print(
            repeat + 1, {name: round(100 * value, 2) for name, value in scores.items()}, flush=True
        )
    seconds = time.perf_counter() - begun
    print(
        f"\n{args.splits} splits in {seconds / 60:.1f} min, {extracted:.0f} s of these for maps.\n"
    )
    print(_table(table))
    if args.json:
        record = {"arguments": vars(args) | {"json": None}, "splits": table, "seconds": seconds}
        Path(args.json).write_text(json.dumps(record, indent=1), "utf-8")


def _all_cells(folder: Path, seed: int) -> ImageIndex:
    """Give all cells as one set, whichever split the demo puts them in."""
    index = ImageIndex.from_source(open_source(write_sample("elpv", folder, seed=seed)))
    return replace(index, splits=("train",) * len(index))


def _split(tuning: Tuning, part: Any, groups: Any, repeat: int) -> dict[str, float]:
    """Score the frozen head, the head on views and the tuned part on one split."""
    problem, views = tuning.problem, tuning.views.count
    train, test = problem.splits.indices(repeat, 0)
    targets = problem.targets.subset(train)
    inner = make_splits(
        targets.strata, folds=INNER, repeats=1, seed=problem.seed, groups=groups[train]
    )
    some = Problem(targets, inner, seed=problem.seed)
    plain = tuning.found.ends.view(0)
    head = tuning.head
    frozen = method_of(head, PooledFeatures(plain.subset(train), (head.pooling,)))
    chosen = frozen.cross_validate(some).final
    fitted = frozen.refit(some, chosen)
    values = problem.targets.values[test]

    def right(predicted: np.ndarray) -> float:
        return float((predicted.argmax(axis=1) == values).mean())

    scores = {"frozen": right(fitted.probabilities_of(plain.subset(test)))}
    every = tuning.found.ends
    maps = PooledFeatures(every.of(train).maps, (head.pooling,))
    on_views = OnViews(method_of(head, maps), tuning.views)
    fitted = on_views.refit(some, chosen)  # the penalty of the images as they are
    predicted = fitted.probabilities_of(every.of(test).maps).reshape(len(test), views, -1)
    scores |= {"views": right(predicted[:, 0]), "views, averaged": right(predicted.mean(axis=1))}
    from headfit.finetuning.training import Task

    trainer = _trainer(tuning, part, fitted)
    inputs = tuning.inputs(part, tuning.rows)
    recipe, seed = tuning.recipe, (problem.seed, repeat)
    trainer.train(
        Task(
            *(inputs, problem.targets, train, fitted.weights, recipe.learning_rates[0]),
            epochs=recipe.epochs,
            seed=seed,
        )
    )
    each = np.stack([trainer.predict(inputs, test, view) for view in range(views)])
    return scores | {"tuned": right(each[0]), "tuned, averaged": right(each.mean(axis=0))}


_TRAINERS: dict[Any, Any] = {}


def _trainer(tuning: Tuning, part: Any, fitted: Any) -> Any:
    key = (fitted.shape, fitted.scale)
    if key not in _TRAINERS:
        _TRAINERS[key] = tuning.make_trainer(part)(*key)
    return _TRAINERS[key]


def _table(splits: list[dict[str, float]]) -> str:
    """Write means with 95 % intervals, by the corrected t: training sets overlap."""
    rows = []
    frozen = np.array([each["frozen"] for each in splits])
    for name in splits[0]:
        values = np.array([each[name] for each in splits])
        cells = [_interval(values), "" if name == "frozen" else _interval(values - frozen)]
        rows.append([name, *cells])
    return markdown(["row", "accuracy, %", "minus frozen, points"], rows)


def _interval(values: np.ndarray) -> str:
    mean, count = values.mean(), len(values)
    if count < 2:
        return f"{100 * mean:.1f}"
    # Nadeau & Bengio 2003: a third as many images are tested as trained on
    error = values.std(ddof=1) * np.sqrt(1 / count + 1 / (QUARTER - 1))
    reach = error * t.ppf(0.975, count - 1)
    return f"{100 * mean:.1f} ({100 * (mean - reach):.1f} to {100 * (mean + reach):.1f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--head", default="avgmax")
    parser.add_argument("--unfreeze", default="last")
    parser.add_argument("--augment", default="hflip,vflip,rot90")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--head-factor", type=float, default=1.0)
    parser.add_argument("--label-smoothing", type=float, default=0.1)
    parser.add_argument("--mixup", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="write the figures of every split there")
    args = parser.parse_args()
    parse_head(args.head)
    return args


if __name__ == "__main__":
    main()
