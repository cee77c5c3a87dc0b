"""Export a model: write each format, prove it, and keep it only if it agrees with headfit."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from headfit.conversion.record import read_record
from headfit.errors import EngineError, WriteError
from headfit.exports.arguments import DEFAULT_MAX_DROP, FOLDER, ExportArguments, formats_of
from headfit.exports.card import find_run, write_card
from headfit.exports.contents import Contents, size
from headfit.exports.evidence import Evidence
from headfit.exports.exported import Export, ExportedFile
from headfit.exports.foreign import opened
from headfit.exports.formats.format import FLOAT32, INT8, Format, Subject
from headfit.exports.formats.onnx_bytes import OnnxBytes, says_so
from headfit.exports.from_bytes import prove_from_bytes
from headfit.exports.proof import by_contract, images_per_second, prove
from headfit.exports.record import ExportRecord
from headfit.exports.reference import Reference
from headfit.exports.snippets.program import write_programs
from headfit.exports.speed import quicker
from headfit.fitting.kinds import KINDS
from headfit.images.targets import CLASS, NUMBER
from headfit.model.classifier import Classifier
from headfit.model.metadata import ModelRecord
from headfit.progress import Callback, CallbackList
from headfit.report.text.metrics import METRICS
from headfit.util import files

PathLike = str | os.PathLike[str]
NO_SPACE = "No space left"


def export(
    model: PathLike,
    to: str | Iterable[str] = "onnx",
    *,
    out: PathLike | None = None,
    precision: str = FLOAT32,
    fuse: bool = False,
    outlier_score: bool = False,
    from_bytes: bool = False,
    max_drop: float = DEFAULT_MAX_DROP,
    images: PathLike | None = None,
    classes: Iterable[str] | None = None,
    preprocessing: str | None = None,
    callbacks: Callback | Iterable[Callback] | None = None,
) -> Export:
    """Write a model in other formats, and prove each file from the bytes of images.

    Decoding and resizing stay with whoever runs the file; everything after them is inside: input
    ``images`` uint8 (batch, height, width, 3), output ``probabilities``, or ``values`` of numbers
    in their own units, float32 (batch, K). The record in the file's metadata says how to decode and
    resize. ``MODEL_CARD.md`` and a program for
    each format, which needs no headfit, go beside the files.

    Args:
        model: a ``model.keras`` that headfit wrote, or any ``.keras`` or ``.h5`` classifier.
        to: formats: ``"onnx"``, ``"openvino"``, ``"litert"``, ``"saved_model"``, ``"keras"``;
            several in a list or by commas.
        out: the folder to write into; the folder ``export`` beside the model if None.
        precision: ``"float32"``; ``"float16"`` stores weights in half the bytes; ``"int8"``
            computes in 8-bit integers, calibrated on training images of the run.
        fuse: fold pooling, scaling and a linear head into one matrix product where that is faster.
        outlier_score: add a second output, float32 (batch, 1): above 1 an image is unlike the
            training images.
        from_bytes: of ONNX: write ``model_bytes.onnx``, which decodes by itself: input ``image``,
            the content of one file, uint8 (bytes,); output of one row. ``docs/export.md`` says
            what it reads.
        max_drop: what 8-bit integers may cost: a share of images in accuracy, for several labels
            macro average precision, for numbers R².
        images: the images of the run, if they are elsewhere now, as ``compare`` takes them.
        classes: names of the classes, in the order of the outputs, of a model that headfit did not
            write.
        preprocessing: of such a model: ``"none"``, ``"tf"``, ``"caffe"`` or ``"torch"``.
        callbacks: told about the progress.

    Returns:
        What was written. A file that disagrees with headfit is not left under its name; its
        ``problem`` says why.

    Raises:
        UsageError: if an argument cannot be used, a package is missing, or the model holds a layer
            without a counterpart.
        ModelFileError: if the model cannot be opened.
        EngineError: if it cannot be converted.
        WriteError: if a file cannot be written.

    Example:

    ```python
    export = hf.export("headfit-run/model.keras", "onnx,openvino")
    for each in export.exports:
        print(each.path, each.max_abs_difference)
    ```
    """
    path = Path(model)
    arguments = ExportArguments(
        model=path,
        formats=formats_of(to, from_bytes=from_bytes),
        out=path.parent / FOLDER if out is None else Path(out),
        precision=precision,
        fuse=fuse,
        outlier_score=outlier_score,
        max_drop=max_drop,
        images=images,
        classes=None if classes is None else tuple(classes),
        preprocessing=preprocessing,
    )
    arguments.check()
    with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as place:
        return _Run(arguments, Path(place), CallbackList(callbacks)).run()


class _Run:
    def __init__(self, arguments: ExportArguments, folder: Path, callback: Callback) -> None:
        self.arguments, self.folder, self.callback = arguments, folder, callback

    def run(self) -> Export:
        arguments, callback = self.arguments, self.callback
        callback.on_stage_begin("Reading the model", 1)
        path = opened(
            arguments.model,
            arguments.classes,
            arguments.preprocessing,
            self.folder,
            callback.on_message,
        )
        evidence = self.evidence
        if evidence.index is None:
            callback.on_message(
                f"Proved with golden images only: {evidence.reason}. Set `images` to the folder or "
                f"table of the images."
            )
        subject = self._subject(path, evidence)
        callback.on_stage_begin("Predicting with headfit", 1)
        classifier = Classifier(path, callback.on_message)
        reference = Reference.of(classifier, evidence, outlier_score=arguments.outlier_score)
        made = [self._export(each, subject, reference) for each in arguments.formats]
        self._describe(subject.record, made)
        return Export(arguments.model, arguments.out, tuple(made))

    def _describe(self, record: ExportRecord, made: list[ExportedFile]) -> None:
        """Write the card, and programs that run the files, if there are any."""
        if all(each.path is None for each in made):
            return
        model, out = self.arguments.model.absolute(), self.arguments.out
        contents = Contents.of(out, model, made)
        names = {each.format: each.path.name for each in contents.exports if each.path is not None}
        write_programs(record, names, out)
        write_card(record, contents, find_run(model, record), out)

    @cached_property
    def evidence(self) -> Evidence:
        """The images of the run."""
        images, model = self.arguments.images, self.arguments.model
        if images is None:
            return Evidence.of_run(model)
        record = read_record(model)  # a model of another's is of classes
        if record is None:
            return Evidence.of_source(images)
        return Evidence.of_source(images, record.kind, record.classes)

    def _subject(self, path: Path, evidence: Evidence) -> Subject:
        arguments = self.arguments
        record = ExportRecord.of(ModelRecord.read(path), outlier_score=arguments.outlier_score)
        if any(isinstance(each, OnnxBytes) for each in arguments.formats):
            record = says_so(record)
        subject = Subject(
            path=path,
            record=record,
            outlier_score=arguments.outlier_score,
            precision=arguments.precision,
            fuse=False,
            calibration=partial(evidence.calibration, record.contract),
            tell=self.callback.on_message,
        )
        if arguments.precision == INT8:
            subject.calibration()  # before any work: there may be no images
        return subject

    def _export(self, format_: Format, subject: Subject, reference: Reference) -> ExportedFile:
        """Write one format beside its place, and move it there if it agrees."""
        self.callback.on_stage_begin(f"Writing {format_.name}", 1)
        target = self.arguments.out / format_.file
        results: list[ExportedFile] = []
        try:
            with files.scratch_folder(target) as place:
                made = place / format_.file
                fused = self._write(format_, subject, made)
                results.append(self._proved(format_, subject, made, reference, fused))
                if not results[0].problem:
                    _move(made, target)
        except EngineError as error:
            if NO_SPACE in str(error):  # said by a child process
                raise WriteError(f"Cannot write '{target}': {NO_SPACE} on device.") from None
            raise
        return results[0]

    def _write(self, format_: Format, subject: Subject, path: Path) -> bool:
        """Write it, in the quicker of two ways if it may be fused; say whether it is."""
        format_.write(subject, path)
        if not self.arguments.fuse:
            return False
        other = path.with_name(f"fused-{path.name}")
        format_.write(replace(subject, fuse=True), other)
        contract = subject.record.contract
        ratio = quicker(format_.open(path), format_.open(other), contract)
        self.callback.on_message(
            f"{format_.name}: {ratio:.2f} times as fast with the head fused"
            f"{'' if ratio > 1 else ', so it is left as it is'}."
        )
        if ratio > 1:
            files.remove(path)
            other.rename(path)
            return True
        files.remove(other)
        return False

    def _proved(
        self, format_: Format, subject: Subject, path: Path, reference: Reference, fused: bool
    ) -> ExportedFile:
        self.callback.on_stage_begin(f"Checking {format_.name}", 1)
        record, decoding = format_.read_record(path), None
        compared = (record, subject.record, reference, subject.precision)
        if isinstance(format_, OnnxBytes):
            agreement, outputs, decoding = prove_from_bytes(format_.serve(path), *compared)
        else:
            predict = format_.open(path)
            agreement, outputs = prove(by_contract(predict, record.contract), *compared)
        problem, accuracy = agreement.problem, None
        if subject.precision == INT8 and not problem and len(reference.labelled):
            scores, problem = score_of(reference, outputs, self.arguments.max_drop)
            accuracy = scores or None
        ran = math.isfinite(agreement.max_abs_difference)
        if decoding is not None:
            speed = decoding.images_per_second
        else:
            speed = images_per_second(predict, record.contract) if ran else None
        return ExportedFile(
            format=format_.name,
            path=None if problem else self.arguments.out / format_.file,
            bytes=size(path),
            precision=subject.precision,
            images=agreement.images,
            max_abs_difference=agreement.max_abs_difference if ran else None,
            top1_agreement=agreement.top1_agreement,
            images_per_second=speed,
            fused=fused,
            accuracy=accuracy,
            decoding=decoding if ran else None,
            problem=problem,
            outlier_score=subject.outlier_score,
        )


def score_of(
    reference: Reference, outputs: np.ndarray, max_drop: float
) -> tuple[dict[str, Any], str]:
    """Score labelled images before and after, and say what is wrong if that costs too much.

    Args:
        reference: what headfit gives.
        outputs: those of the file, for the same images.
        max_drop: how much of the metric may be lost.
    """
    before, after = map(reference.score, (reference.outputs, outputs))
    kind, problem = reference.record.kind, ""
    metric = "accuracy" if kind == CLASS else KINDS[kind].primary
    if before - after > max_drop:
        scores = [f"{each:.3f}" if kind == NUMBER else f"{each:.1%}" for each in (before, after)]
        most = f"{max_drop:g}" if kind == NUMBER else f"{max_drop:.1%}"
        problem = (
            f"{METRICS[metric].name} on {len(reference.labelled):,} images falls from "
            f"{scores[0]} to {scores[1]}, more than `max_drop`, {most}"
        )
    named = {} if kind == CLASS else {"metric": metric}
    if not math.isfinite(before) or not math.isfinite(after):  # too few images for the metric
        return {}, ""
    return {**named, "before": before, "after": after}, problem


def _move(made: Path, target: Path) -> None:
    """Give a proved file its name; one of an earlier export goes."""
    with files.writing(target):
        if target.is_dir():
            # a folder cannot be replaced in one step; aside, it goes with the scratch folder
            target.replace(made.with_name("former"))
        made.replace(target)
