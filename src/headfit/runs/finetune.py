"""Whether training more than the head pays: frozen, on views, and with parts of the backbone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from headfit.backbones import catalog
from headfit.backbones.weights import IMAGENET
from headfit.finetuning.method import DIVERGED
from headfit.fitting.problem import CrossValidation
from headfit.images.index import ImageIndex
from headfit.images.targets import SEPARATOR
from headfit.progress import Callback, CallbackList
from headfit.report.text.finetune import headline, sentence
from headfit.report.text.summary import advice
from headfit.runs.clock import Clock
from headfit.runs.finetune_options import FinetuneOptions
from headfit.runs.finetune_rows import RowOf, fit_rows
from headfit.runs.finetune_setup import Setup, set_up
from headfit.runs.map_source import Images
from headfit.runs.refit import with_provenance
from headfit.runs.results import Comparison
from headfit.runs.study import Study
from headfit.runs.tuned_model import TunedModel
from headfit.runs.tuning import SCRATCH
from headfit.study.comparison.evidence import share_right
from headfit.study.comparison.gains import UNDECIDED, Gain, gains


def finetune(
    images: ImageIndex | str | os.PathLike[str],
    *,
    backbone: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = catalog.DEFAULT,
    head: str = "gap",
    unfreeze: str | int | Iterable[str | int] = "last",
    scratch: bool = False,
    augment: str = "light",
    views: int = 4,
    tta: bool = False,
    learning_rate: float | Iterable[float] | None = None,
    epochs: int = 5,
    batch_size: int = 32,
    label_smoothing: float = 0.0,
    mixup: float = 0.0,
    weights: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = IMAGENET,
    preprocessing: str | None = None,
    size: int | None = None,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    rope: float = 0.01,
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
) -> Study:
    """Find out whether training more than the head pays on these images.

    The head is fitted exactly first, and training starts from it: linear probing, then fine-tuning
    (Kumar et al. 2022). Maps before the first trained layer are computed once for every view of an
    image and stored. All rows are cross-validated on the same folds; all views of an image lie in
    its fold, and scores are of images as they are.

    Args:
        images: a folder with a sub-folder for each class, a table of image files, an archive of
            class folders, or an index; as for :func:`headfit.compare`.
        backbone: any spelling of a name, or a model of your own. Of several, as a list or separated
            by commas, each has all rows, on the same folds.
        head: a chain such as ``"gap"`` or ``"gap-dropout0.5"``.
        unfreeze: what is trained with the head: ``"last"`` for the last stage (the layers behind
            the last change of resolution), a number of last stages, ``"all"``, or the name of a
            layer, after which training starts. Several, as a list or separated by commas, are a
            row each. ``"none"``, with ``scratch``, for nothing.
        scratch: whether the whole backbone is also trained from random weights.
        augment: how views of images are drawn: ``"none"``, ``"light"``, ``"strong"``, or a
            comma-separated list of steps such as ``"hflip,rotate10,brightness0.2"``.
        views: number of views of each image; the first is the image as it is.
        tta: whether each row is also scored on the mean prediction over the views of an image
            (test-time augmentation).
        learning_rate: peak rate of the last trained stage. Of several, up to three, each fold
            chooses one and the number of epochs on an inner split. If None, 3e-4.
        epochs: passes over the training images; each shows one view of every image.
        batch_size: images in a step.
        label_smoothing: share of the probability that is spread over all classes.
        mixup: α of the Beta distribution by which two images are mixed; 0 for none.
        weights: ``"imagenet"``, ``"random"`` or the path of a file: one for all backbones, or one
            for each.
        preprocessing: of pixels for a model of your own.
        size: side of the input in pixels. If None, the backbone's own.
        folds: number of cross-validation folds, at least 3.
        repeats: how often the folds are drawn.
        seed: random seed of folds, views, weights and batches.
        rope: a difference in the primary metric, such as balanced accuracy, that does not matter
            to you, as a fraction.
        class_weight: ``"balanced"``, ``"none"`` or ``"auto"``, as for :func:`headfit.compare`.
        groups: images that must stay in one fold: a CSV file with the columns path and group, or a
            regular expression on the path.
        near_duplicates: whether near-duplicates are detected and kept in one fold.
        engine: what runs the frozen part: ``"openvino"``, ``"keras"`` or ``"auto"``.
        feature_dtype: how feature maps are stored, ``"float16"`` or ``"float32"``.
        splits: as for :func:`headfit.compare`, like all that follow.
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
        The study. Its ``results["verdict"]["finetune"]`` says whether fine-tuning pays.

    Raises:
        UsageError: an argument is wrong.
        DataError: the images cannot answer: none, one class, too few of a class.
        WeightsError: the weights of the backbone are absent or damaged.
        EngineError: the backbone cannot run here.
        WriteError: maps cannot be stored, or do not fit on the disk.

    Example:

    ```python
    study = hf.finetune("photos", unfreeze="last", views=4)
    print(study.results["verdict"]["finetune"]["sentence"])
    study.save("tuned")
    ```
    """
    settings = {k: v for k, v in locals().items() if k not in ("images", "callbacks")}
    return _Run(images, FinetuneOptions(**settings), CallbackList(callbacks)).run()


class _Run:
    """One fine-tuning, stage by stage."""

    def __init__(self, images: Images, options: FinetuneOptions, callback: Callback) -> None:
        self.images, self.options, self.callback = images, options, callback
        _, self.recipe, self.views = options.check()
        self.clock = Clock()

    def run(self) -> Study:
        """Go through all stages."""
        setup = set_up(self.images, self.options, self.callback, self.clock)
        averaged = fit_rows(setup, self.callback, tta=self.options.tta)
        self.clock.lap("heads")
        return self._finish(setup, averaged)

    def _finish(self, setup: Setup, averaged: Sequence[RowOf]) -> Study:
        """Reach the verdict, train the recommended row on all images, gather everything."""
        comparison, callback = setup.comparison, self.callback
        problem = comparison.problem
        callback.on_stage_begin("Statistics", 1)
        verdict = comparison.verdict()
        (backbone, chosen) = comparison.recommended(verdict)
        told, answer = _gains(comparison)
        self.clock.lap("statistics")
        callback.on_stage_begin(f"Fitting {verdict.recommended} on all training images", 1)
        (tuning,) = [each for each in setup.tunings if each.source is backbone.source]
        model = TunedModel.of(comparison, tuning, chosen)
        self.clock.lap("refit")
        results: dict[str, Any] = comparison.results(verdict)
        results["verdict"] |= {"finetune": answer}
        results["candidates"] += comparison.more_candidates(averaged)
        results["verdict"]["sentence"] = f"{answer['sentence']} {advice(results)}"
        results["settings"] |= self._settings(comparison)
        parts = [part.to_dict() for each in setup.tunings for part in each.parts]
        results |= {
            "finetune": {"gains": told, "parts": parts},
            "where": None,
            "learning_curve": None,
            "reliability": model.reliability.to_dict(),
            "test": model.test,
            "unlabelled": None,
            "precision": None,
            "timings": self.clock.total(),
        }
        return Study(
            replace(verdict, sentence=results["verdict"]["sentence"]),
            results,
            index=backbone.extraction.index.subset(backbone.rows),
            out_of_fold=chosen.probabilities.mean(axis=0),
            folds=problem.splits.assignment,
            right=share_right(chosen.probabilities, problem),
            suspects=model.reliability.suspects_csv(),
            blueprint=with_provenance(model.blueprint, results),
        )

    def _settings(self, comparison: Comparison) -> dict[str, Any]:
        first, folds = comparison.backbones[0], comparison.problem.splits.folds
        own = first.source.contract.width
        size = self.options.size if comparison.several else own
        scratch = [SCRATCH] if self.options.scratch else []
        return {
            "command": self.options.command(first.extraction.index.source, folds, size),
            "unfreeze": [*self.options.parts, *scratch],
            "augment": str(self.views.augmentation),
            "views": self.views.count,
            "tta": self.options.tta,
            "recipe": self.recipe.identity,
        }


def _gains(comparison: Comparison) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Say what each row brings beyond the frozen head of its backbone, and give the answer.

    It is about the best row with a trained part, if there is one but for those from scratch.
    """
    pairs, place = [], 0
    for backbone in comparison.backbones:
        pairs += [(place + row, place) for row in range(1, len(backbone.fits))]
        place += len(backbone.fits)
    rows, scores = comparison.rows(), comparison.scores
    metric = comparison.problem.kind.primary
    found = gains(scores, pairs, [fit.seconds for _, fit, _ in rows])
    told, answers = [], []
    for (row, _), gain in zip(pairs, found, strict=True):
        backbone, fit, metrics = rows[row]
        told.append(_told(gain, fit, metric))
        if fit.trained:
            mean = float(np.mean(metrics[metric]))
            of = backbone.name if comparison.several else ""
            # a part that diverged everywhere says nothing, however its frozen head scores
            order = (fit.variant != SCRATCH, not told[-1]["diverged"], mean)
            said = sentence(told[-1], fit.variant, of, metric)
            answers.append((order, {**told[-1], "sentence": said}))
    return told, max(answers, key=lambda each: each[0])[1]


def _told(gain: Gain, fit: CrossValidation, metric: str) -> dict[str, Any]:
    """Give what a row brings, in numbers and words."""
    diverged = sum(note["folds"] for note in fit.notes if note["code"] == DIVERGED)
    plain = gain.to_dict() | {"diverged": diverged == len(fit.choices)}
    if plain["diverged"]:
        plain["word"] = UNDECIDED
    return {
        **plain,
        "headline": headline(plain, fit.variant),
        "sentence": sentence(plain, fit.variant, metric=metric),
    }
