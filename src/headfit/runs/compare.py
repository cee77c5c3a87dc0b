"""The one place that wires the stages: images → features → heads → study → classifier."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial

from headfit.backbones import catalog
from headfit.backbones.engines.engine import FLOAT32, Joint
from headfit.backbones.weights import IMAGENET
from headfit.features.extract import Extraction
from headfit.features.store import FeatureStore
from headfit.fitting.problem import Problem
from headfit.images.index import ImageIndex
from headfit.images.per_class import require_per_class
from headfit.images.targets import NUMBER, SEPARATOR
from headfit.progress import IMAGES, Callback, CallbackList
from headfit.report.text.images import to_predict
from headfit.report.text.summary import balance_lines, fit_warnings
from headfit.runs.balance import Balance, fewest_of_class
from headfit.runs.candidates import CandidateBackbone, check_heads
from headfit.runs.claims import claims_of
from headfit.runs.clock import Clock
from headfit.runs.estimate import Estimate
from headfit.runs.grouping import UserGroups, find_groups
from headfit.runs.int8_check import int8_effect
from headfit.runs.map_source import (
    Images,
    MapSource,
    calibration,
    find_depth,
    group_by_pass,
    maps_of,
    notes_on,
    open_index,
    require_classes,
    source_names,
)
from headfit.runs.options import MIN_FOLDS, HeadLike, Options
from headfit.runs.position import learning, where_matters
from headfit.runs.refit import blueprint, keep_models, reliability_of, with_provenance
from headfit.runs.results import Comparison, head_score, score_test
from headfit.runs.study import Study
from headfit.runs.unlabelled import predict_unlabelled
from headfit.study.comparison.evidence import share_right
from headfit.study.comparison.verdict import Verdict
from headfit.study.protocol.splits import make_splits
from headfit.util.nouns import counted


def compare(
    images: ImageIndex | str | os.PathLike[str],
    *,
    backbone: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = catalog.DEFAULT,
    heads: HeadLike | Iterable[HeadLike] | None = None,
    keep: str | Iterable[str] | None = None,
    weights: str | os.PathLike[str] | Iterable[str | os.PathLike[str]] = IMAGENET,
    preprocessing: str | None = None,
    size: int | str | Iterable[int] | None = None,
    cut: str | Iterable[str] | None = None,
    protocol: str = "standard",
    folds: int | None = None,
    repeats: int | None = None,
    seed: int = 0,
    rope: float = 0.01,
    class_weight: str = "auto",
    number_loss: str = "squared",
    groups: str | os.PathLike[str] | None = None,
    near_duplicates: bool = True,
    where: bool = True,
    curve: bool = True,
    claims: bool = False,
    engine: str = "auto",
    precision: str = FLOAT32,
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
    """Find out which head suits a frozen backbone on these images.

    Every head is cross-validated on the same folds. Feature maps and fits are stored, so a second
    run on the same images is quick.

    Args:
        images: a folder with a sub-folder for each class, a table of image files (``.csv``,
            ``.tsv``, ``.jsonl`` or ``.parquet``), an archive of class folders, or an index.
        backbone: any spelling of a name, or a model of your own: a ``.keras`` or ``.h5`` file,
            ``"module:function"`` or ``"hub:preset"``. Several, as a list or separated by commas,
            are compared.
        heads: chains such as ``"gap"`` or ``"gap-1024-dropout0.5"``, separated by commas or in a
            list; ``"module:function"``, a ``.keras`` file, or callables. If None, the default
            heads that suit the feature maps.
        keep: names of heads, among those compared, that become models beside the recommended one,
            on its backbone.
        weights: ``"imagenet"``, ``"random"`` or the path of a file: one for all backbones, or one
            for each.
        preprocessing: of pixels for a model of your own: ``"none"``, ``"tf"``, ``"caffe"`` or
            ``"torch"``. If None, the model's own, else none.
        size: side of the input in pixels; several are compared. If None, the backbone's own.
        cut: layer that the backbone ends at; several are compared, ``"a+b"`` joins two, ``"end"``
            is the backbone's own end. If None, its own end.
        protocol: ``"quick"`` (1 × 5 folds), ``"standard"`` (5 × 10) or ``"thorough"`` (10 × 10).
        folds: number of cross-validation folds, at least 3. If None, the protocol's, or fewer
            where a class has too few images.
        repeats: how often the folds are drawn. If None, the protocol's.
        seed: random seed of folds, initial weights and batches.
        rope: a difference in the primary metric that does not matter to you, as a fraction.
        class_weight: ``"balanced"``: all classes contribute alike to the loss, however many images
            they have; ``"none"``: all images do; ``"auto"``: balanced where the largest class has
            more than ten times the images of the smallest.
        number_loss: of heads trained by gradient descent, where the targets are numbers:
            ``"squared"`` or ``"huber"``, which is less led by a few numbers that are far off.
        groups: images that must stay in one fold: a CSV file with the columns path and group, or a
            regular expression on the path.
        near_duplicates: whether near-duplicates are detected and kept in one fold.
        where: whether to measure how much position matters.
        curve: whether to measure learning curves.
        claims: whether to measure what common mistakes of evaluation would have claimed.
        engine: what runs the backbone: ``"openvino"``, ``"keras"``, or ``"auto"`` for the first
            that can.
        precision: of the backbone's arithmetic, ``"float32"`` or ``"int8"``.
        feature_dtype: how feature maps are stored, ``"float16"`` or ``"float32"``.
        splits: whether the folders are ``train``/``val``/``test`` folders of class folders (True)
            or classes (False). If None, their names decide.
        follow_links: whether links are followed that point outside the folder, or the root of a
            table.
        skip_empty_classes: whether classes without images that can be read are left out; else
            they stop the run.
        path_column: of a table; all as for :meth:`headfit.ImageIndex.from_table`.
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
        The study: its verdict, its table, and the way to the classifier.

    Raises:
        UsageError: an argument is wrong.
        DataError: the images cannot answer: none, one class, too few of a class.
        WeightsError: the weights of a backbone are absent or damaged.
        EngineError: a backbone cannot run here.
        WriteError: the feature store cannot be written.

    Example:

    ```python
    study = hf.compare("photos", backbone="MobileNetV2", heads="gap,flatten")
    print(study.verdict)
    study.classifier().predict(["new.jpg"])
    ```
    """
    # the rest are the fields of Options, by the same names: a test holds that
    settings = {k: v for k, v in locals().items() if k not in ("images", "callbacks")}
    options = Options(**settings)
    return _Run(images, options, CallbackList(callbacks)).run()


class _Run:
    """One comparison, stage by stage."""

    def __init__(self, images: Images, options: Options, callback: Callback) -> None:
        self.images, self.options, self.callback = images, options, callback
        self.points, self.heads = options.check()
        self.clock = Clock()
        count = max(1, sum(not point.extra for point in self.points))
        self.estimate = Estimate(options, self.heads, count, callback)

    def run(self) -> Study:
        """Go through all stages."""
        for line in notes_on(self.points):
            self.callback.on_message(line)
        index = open_index(self.images, self.options, self.callback, self._require)
        if index.unlabelled:
            self.callback.on_message(to_predict(len(index.unlabelled)))
        user_groups = UserGroups.read(index, self.options)
        ranges = calibration(index, self.options)
        depth = find_depth(index, self.callback)
        sources = [MapSource.of(p, self.options, self.callback, ranges, depth) for p in self.points]
        self.clock.lap("audit")
        backbones = self._backbones(sources, index)
        self.clock.lap("decode_and_extract")
        comparison = self._fit(backbones, user_groups)
        self.clock.lap("heads")
        self.callback.on_stage_begin("Statistics", 1)
        verdict = comparison.verdict()
        self.clock.lap("statistics")
        return self._finish(comparison, verdict)

    def _backbones(self, sources: list[MapSource], index: ImageIndex) -> list[CandidateBackbone]:
        """Get the maps of all images that every backbone could read."""
        shared_passes = group_by_pass(sources)
        extracted: dict[int, Extraction] = {}
        for mates in shared_passes:
            each = self._extract(mates, index, len(shared_passes))
            extracted |= {id(mate): part for mate, part in zip(mates, each, strict=True)}
        extractions = [extracted[id(source)] for source in sources]
        shared = set.intersection(*(set(each.index.paths) for each in extractions))
        parts = [each.only(shared) for each in extractions]
        parts = require_classes(parts, self.options.skip_empty_classes, self.callback, index)
        self._require(parts[0].index)
        rows = parts[0].index.training
        return [
            CandidateBackbone(name, source, part, rows)
            for name, source, part in zip(source_names(sources), sources, parts, strict=True)
        ]

    def _require(self, index: ImageIndex) -> None:
        """Check that every class has enough images to train on."""
        targets = index.targets.subset(index.training)
        require_per_class(targets, fewest_of_class(targets, self.options))

    def _extract(self, mates: list[MapSource], index: ImageIndex, count: int) -> list[Extraction]:
        """Get the maps of sources that share a pass, one of ``count``."""
        several = count > 1
        name = mates[0].pass_name if several else "the backbone"
        self.callback.on_stage_begin(f"Images through {name}", len(index), IMAGES)

        def opened(joint: Joint, store: FeatureStore) -> None:
            if self.options.heads is not None:  # the user named them: no pass for nothing
                check_heads(mates, joint, self.heads)
            self.estimate.opened(mates[0], index, count, joint, store)

        extractions = maps_of(mates, index, opened)
        first = extractions[0]
        if first.computed == 0:
            of = f" of {name}" if several else ""
            self.callback.on_message(
                f"All feature maps{of} were in the store ({first.cached:,}): no backbone pass was "
                f"needed."
            )
        elif first.cached:
            self.callback.on_message(
                f"Through {name}: {counted(first.computed, 'image')}; from the store: "
                f"{first.cached:,}."
            )
        return extractions

    def _fit(
        self, backbones: list[CandidateBackbone], user_groups: UserGroups | None
    ) -> Comparison:
        """Cross-validate every head on every backbone, on identical folds."""
        options, first = self.options, backbones[0]
        index = first.extraction.index
        balance = Balance.of(index, first.rows, options)
        targets = balance.targets
        groups = find_groups(first.extraction, first.rows, user_groups, options, self.callback)
        splits = make_splits(
            targets.strata,
            folds=balance.folds(groups, options, self.callback),
            repeats=options.rounds,
            seed=options.seed,
            groups=groups.numbers,
            fewest=MIN_FOLDS if balance.facts["rare"] else None,
            names=targets.names,
            required=targets.kind != NUMBER,
        )
        for label, line in balance_lines(balance.facts, splits.folds, targets.kind).items():
            self.callback.on_message(f"{label}: {line}.")
        problem = Problem(
            targets, splits, quick=options.quick, seed=options.seed, loss=options.number_loss
        )
        several = len({backbone.name for backbone in backbones}) > 1
        for backbone in backbones:
            named = options.heads is not None
            heads = backbone.suitable(self.heads, self.callback, strict=named)
            self.estimate.training(backbone, heads, problem)
            on = f" on {backbone.name}" if several else ""
            self.callback.on_stage_begin(f"Training heads{on}", len(heads))
            place = f"{backbone.name}/" if several else ""
            scored = partial(head_score, backbone, problem, place)
            backbone.fit(heads, problem, groups.numbers, self.callback, scored)
            for fit in backbone.fits:
                for line in fit_warnings(fit.head.name, fit.notes):
                    self.callback.on_message(line)
            if len(backbones) > 1:
                backbone.pooled.release()
        return Comparison(backbones, problem, options, groups, balance.facts)

    def _finish(self, comparison: Comparison, verdict: Verdict) -> Study:
        """Measure what follows from the verdict, refit the recommended head, gather everything."""
        backbone, chosen = comparison.recommended(verdict)
        options, problem, callback = self.options, comparison.problem, self.callback
        one_layer = comparison.one_layer(backbone)
        where = where_matters(one_layer, problem, verdict, callback) if options.where else None
        self.clock.lap("where")
        groups = comparison.groups.numbers
        curve = learning(one_layer, problem, groups, callback) if options.curve else None
        self.clock.lap("learning_curve")
        claims = claims_of(comparison, one_layer, callback) if options.claims else None
        self.clock.lap("claims")
        int8 = int8_effect(backbone, comparison, chosen.head, callback)
        self.clock.lap("precision")
        callback.on_stage_begin(f"Fitting {verdict.recommended} on all training images", 1)
        fitted = backbone.refit(chosen, problem)
        test = score_test(backbone, fitted)
        predicted = predict_unlabelled(backbone, fitted, callback)
        reliability = reliability_of(backbone, chosen, problem, groups)
        others = [n for n in options.heads_to_keep(self.heads) if n != chosen.head.name]
        models = keep_models(others, comparison, backbone, int8.probe, callback)
        self.clock.lap("refit")
        results = {
            **comparison.results(verdict),
            "where": where,
            "learning_curve": curve,
            "claims": claims,
            "reliability": reliability.to_dict(),
            "test": test,
            "unlabelled": predicted and predicted.to_dict(),
            "precision": int8.described,
            "timings": self.clock.total(),
        }
        return Study(
            verdict,
            results,
            index=backbone.extraction.index.subset(backbone.rows),
            out_of_fold=chosen.probabilities.mean(axis=0),
            folds=problem.splits.assignment,
            right=share_right(chosen.probabilities, problem),
            suspects=reliability.suspects_csv(),
            blueprint=with_provenance(
                blueprint(backbone, fitted, int8.probe, reliability), results
            ),
            other_models={name: with_provenance(each, results) for name, each in models.items()},
            test_predictions=predicted.csv() if predicted else "",
        )
