"""What a declared run works on, found and checked before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headfit.board.declaration import DATASET, DEMO, PATHS, DeclaredRun, errors_of
from headfit.errors import DataError, ImageError, UsageError
from headfit.images.index import ImageIndex
from headfit.images.sources import open_source
from headfit.progress import Callback
from headfit.runs.options import Options
from headfit.samples.catalog import find_sample, write_sample
from headfit.util import digests
from headfit.util.cache import SAMPLES


@dataclass(frozen=True)
class Prepared:
    """A declared run with what it reads.

    Attributes:
        run: as it was declared.
        options: settings of the comparison.
        images: what :func:`headfit.compare` takes.
        kind: of the targets; empty if the images cannot be read.
        digest: of names, labels, splits, groups, weights and bytes of the images, and of all other
            files that the run names.
        fault: why the run cannot be made; empty if nothing is known.
    """

    run: DeclaredRun
    options: Options
    images: str
    kind: str = ""
    digest: str = ""
    fault: str = ""


def check(run: DeclaredRun) -> Prepared:
    """See that a run can be meant, before any image is read.

    Raises:
        UsageError: names the run, the key, the value received and what is expected.
    """
    with errors_of(run):
        sample = find_sample(run.source[len(DEMO) :]) if run.source.startswith(DEMO) else None
        written = {key: run.resolved(key) for key in run.settings}
        options = Options(**{**(sample.read if sample else {}), **written, "curve": False})
        for key in ("backbone", "weights", "size", "cut"):
            value = getattr(options, key)
            if isinstance(value, str) and "," in value and not Path(value).is_file():
                remedy = f'Write a list, {key} = ["…", "…"], for a run of each.'
                raise UsageError.invalid(key, value, "one value in each run", remedy)
        options.check()
        if sample is not None:
            return Prepared(run, options, sample.name)
        if run.source.startswith(DATASET):
            return Prepared(run, options, run.source)
        images = str(run.resolved("source"))
        if not os.path.exists(images):  # noqa: PTH110  (false for what cannot be a path)
            expected = "a folder, a table, an archive, demo:NAME or hf:NAME"
            remedy = f"There is no '{images}'."
            raise UsageError.invalid("source", run.source, expected, remedy)
        return Prepared(run, options, images)


def find(checked: Sequence[Prepared], callback: Callback) -> list[Prepared]:
    """List and digest the images of all runs, each source once.

    Raises:
        UsageError: a key does not suit its source; names the run.
    """
    callback.on_stage_begin("Reading the images of all runs", len(checked))
    read: dict[str, tuple[str, str, str, str]] = {}
    found = []
    for number, each in enumerate(checked, 1):
        drawn = each.options.seed if each.run.source.startswith(DEMO) else None
        key = repr((each.images, drawn, each.options.reading))
        with errors_of(each.run):
            if key not in read:
                read[key] = _read(each)
            images, kind, digest, fault = read[key]
            if kind:
                each.options.check_targets(kind)
        digest = digests.of_data([digest, *_digests_of_files(each.run)])
        found.append(Prepared(each.run, each.options, images, kind, digest, fault))
        callback.on_progress(number, each.run.name)
    return found


def _read(each: Prepared) -> tuple[str, str, str, str]:
    """Give place, kind and digest of the images, or say why they cannot be read."""
    images = each.images
    try:
        if each.run.source.startswith(DEMO):
            seed, sample = each.options.seed, find_sample(each.images)
            place = SAMPLES.path(f"{sample.name}-{seed}")
            images = str(write_sample(sample.name, place, seed=seed) / sample.table)
        index = ImageIndex.from_source(open_source(images, **each.options.reading))
    except DataError as error:
        return images, "", "", str(error)
    return images, index.targets.kind, digest_of(index), ""


def digest_of(index: ImageIndex) -> str:
    """Digest all that an index says of its images, and their bytes."""
    targets = index.targets
    weights = [None] * len(index) if targets.weights is None else targets.weights.tolist()
    groups = index.groups or [None] * len(index)
    rows = zip(
        index.paths,
        map(targets.label, range(len(index))),
        index.splits,
        groups,
        weights,
        (_digest(index, row) for row in range(len(index))),
        strict=True,
    )
    return digests.of_data([targets.kind, list(targets.names), list(rows)])


def _digest(index: ImageIndex, row: int) -> str:
    try:
        return digests.of_bytes(index.read_bytes(row))
    except ImageError:  # the run lists it
        return ""


def _digests_of_files(run: DeclaredRun) -> Iterable[tuple[str, str]]:
    """Digest the files that a run names besides its images: groups, models, weights, heads."""
    for key in PATHS:
        if key in run.settings and key != "root":
            value = run.resolved(key)
            for place in value if isinstance(value, list) else [value]:
                path = Path(place)
                if path.is_absolute() and path.is_file():
                    yield key, digests.of_file(path)
