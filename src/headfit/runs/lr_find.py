"""A learning rate for fine-tuning: a few steps at rising rates, which are then forgotten."""

from __future__ import annotations

import os
from collections.abc import Iterable

from headfit.backbones import catalog
from headfit.backbones.weights import IMAGENET
from headfit.errors import UsageError
from headfit.finetuning.sweep import rising_rates
from headfit.images.index import ImageIndex
from headfit.images.targets import SEPARATOR
from headfit.progress import Callback, CallbackList, Progress
from headfit.runs.clock import Clock
from headfit.runs.finetune_options import FinetuneOptions
from headfit.runs.finetune_setup import set_up
from headfit.runs.learning_rates import LearningRates
from headfit.runs.provenance import versions
from headfit.study.protocol.crossval import cross_validate

OWN = ("images", "callbacks", "lowest", "highest", "steps")


def lr_find(
    images: ImageIndex | str | os.PathLike[str],
    *,
    backbone: str | os.PathLike[str] = catalog.DEFAULT,
    head: str = "gap",
    unfreeze: str | int = "last",
    scratch: bool = False,
    lowest: float = 1e-6,
    highest: float = 0.1,
    steps: int = 60,
    augment: str = "light",
    views: int = 4,
    batch_size: int = 32,
    label_smoothing: float = 0.0,
    mixup: float = 0.0,
    weights: str | os.PathLike[str] = IMAGENET,
    preprocessing: str | None = None,
    size: int | None = None,
    folds: int = 5,
    seed: int = 0,
    class_weight: str = "auto",
    groups: str | os.PathLike[str] | None = None,
    near_duplicates: bool = True,
    engine: str = "auto",
    feature_dtype: str = "float16",
    splits: bool | None = None,
    follow_links: bool = False,
    skip_empty_classes: bool = False,
    path_column: str | None = None,
    label_column: str | Iterable[str] | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    weight_column: str | None = None,
    target: str | None = None,
    label_separator: str = SEPARATOR,
    root: str | os.PathLike[str] | None = None,
    strict: bool = False,
    callbacks: Callback | Iterable[Callback] | None = None,
) -> LearningRates:
    """Find a learning rate for :func:`headfit.finetune`: take steps at rising rates.

    Starts from the exact head, on the training images of the first fold, as fine-tuning does, and
    raises the rate by the same factor from step to step (Smith 2017) until the loss explodes. The
    suggestion is the middle of the longest descent of the smoothed loss, fastai's *valley*. Feature
    maps are stored; the steps are forgotten, and a training that follows is the same as without.

    Args:
        images: as for :func:`headfit.finetune`, like all that is not described here.
        backbone: any spelling of a name, or a model of your own.
        head: a chain such as ``"gap"``.
        unfreeze: the part that is trained: ``"last"``, a number of last stages, ``"all"``, or the
            layer after which training starts.
        scratch: whether instead the whole backbone is trained from random weights.
        lowest: rate of the first step.
        highest: rate of the last step, at most 10.
        steps: their number, from 10 to 1000; each shows a batch.
        augment: how views are drawn.
        views: number of views of each image.
        batch_size: images in a step. A rate suits its size of batch.
        label_smoothing: share of the probability that is spread over all classes.
        mixup: α of the Beta distribution by which two images are mixed; 0 for none.
        weights: ``"imagenet"``, ``"random"`` or the path of a file.
        preprocessing: of pixels for a model of your own.
        size: side of the input in pixels. If None, the backbone's own.
        folds: of the cross-validation whose first fold is held out.
        seed: random seed of folds, views, weights and batches.
        class_weight: ``"balanced"``, ``"none"`` or ``"auto"``.
        groups: images that must stay in one fold.
        near_duplicates: whether near-duplicates are detected and kept in one fold.
        engine: what runs the frozen part.
        feature_dtype: how feature maps are stored.
        splits: of a folder.
        follow_links: whether links are followed that point outside the folder.
        skip_empty_classes: whether classes without images that can be read are left out.
        path_column: of a table.
        label_column: of a table; several columns hold numbers, or 0 and 1 for a label each.
        split_column: of a table.
        group_column: of a table.
        weight_column: of a table.
        target: ``"class"``, ``"labels"`` or ``"number"``; if None, the source shows it.
        label_separator: what stands between the labels in a cell of a table.
        root: the folder that the paths in a table are relative to.
        strict: whether rows of a table that cannot be used stop the run.
        callbacks: one or several that follow the run.

    Returns:
        The losses, and the rate to try.

    Raises:
        UsageError, DataError, WeightsError, EngineError, WriteError: as for
            :func:`headfit.finetune`.

    Example:

    ```python
    rates = hf.lr_find("photos", unfreeze="last")
    print(rates)
    study = hf.finetune("photos", unfreeze="last", learning_rate=rates.suggested)
    ```
    """
    settings = {k: v for k, v in locals().items() if k not in OWN}
    if scratch and unfreeze not in ("last", "all"):
        remedy = "From random weights the whole backbone is trained."
        raise UsageError.invalid("unfreeze", unfreeze, "left out with `scratch`", remedy)
    settings |= {"unfreeze": "all"} if scratch else {}
    rates = rising_rates(lowest, highest, steps).tolist()
    options = FinetuneOptions(**settings)
    if len(options.parts) != 1:
        raise UsageError.invalid("unfreeze", unfreeze, "one part")
    if len(options.check()[0]) != 1:
        raise UsageError.invalid("backbone", backbone, "one backbone")
    callback = CallbackList(callbacks)
    clock = Clock()
    setup = set_up(images, options, callback, clock)
    (tuning,) = setup.tunings
    part, problem = tuning.parts[-1], tuning.problem
    (place,) = setup.comparison.backbones
    callback.on_stage_begin(f"Raising the learning rate of {part.name}", 1)
    progress = Progress(lambda done: callback.on_progress(done))
    ledger = place.ledger(problem)
    frozen = cross_validate(tuning.on_views(), problem, progress.span(0.0, 0.25), ledger)
    method = tuning.method(part, frozen)
    loss = method.sweep(problem, rates, progress.span(0.25, 1.0))
    clock.lap("sweep")
    images_seen, _ = problem.splits.indices(*problem.splits.units[0])
    facts = {
        "part": part.to_dict(),
        "images": len(images_seen),
        "settings": {
            "backbone": tuning.source.spec.name,
            "input_size": tuning.source.contract.width,
            "head": tuning.head.name,
            "augment": str(tuning.views.augmentation),
            "views": tuning.views.count,
            "batch_size": batch_size,
            "label_smoothing": label_smoothing,
            "mixup": mixup,
            "seed": seed,
            "versions": versions(),
        },
        "timings": clock.total(),
    }
    return LearningRates.of(rates, loss, facts)
