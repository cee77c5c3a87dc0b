"""A small classifier, its images, its exports, and what headfit gives."""

from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

import classifiers
import headfit as hf
from headfit.exports.evidence import Evidence
from headfit.exports.exported import Export, ExportedFile
from headfit.exports.formats import FORMATS
from headfit.exports.record import ExportRecord
from headfit.exports.reference import Reference
from headfit.images.index import ImageIndex
from headfit.images.sources import open_source
from headfit.model.metadata import ModelRecord


@dataclass(frozen=True)
class Exportable:
    """A model, and the images to prove an export with.

    Attributes:
        model: the file.
        onnx: its export.
        export: what ``hf.export`` gave, of all formats.
        photos: images in class folders, some of them a test split.
        evidence: golden images and those.
        reference: what headfit gives for them.
    """

    model: Path
    onnx: Path
    export: hf.Export
    photos: Path
    evidence: Evidence
    reference: Reference

    @property
    def record(self) -> ExportRecord:
        """What its exports say."""
        return ExportRecord.of(ModelRecord.read(self.model))


def write_photos(folder: Path) -> Path:
    """Write corners as PNG files, larger than the input, in class folders of two splits."""
    for split, seed, count in (("train", 1, 8), ("test", 2, 4)):
        images, labels = classifiers.corner_images(count, seed)
        for number, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            target = folder / split / classifiers.CORNERS[label] / f"{number:02}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).resize((75, 55), Image.Resampling.BICUBIC).save(target)
    return folder


def make(folder: Path, shared: Path) -> Exportable:
    """Give a copy of what the first worker exported.

    Args:
        folder: the copy, a folder that is not there yet.
        shared: where all workers look for it.
    """
    if not shared.is_dir():
        own = folder.with_name("own")
        _make(own)
        with contextlib.suppress(OSError):  # another worker was as quick
            own.rename(shared)
    shutil.copytree(shared, folder)
    rows = json.loads((folder / "export.json").read_text("utf-8"))["exports"]
    names = {row["format"]: FORMATS[row["format"]].file for row in rows}
    files = [
        ExportedFile(
            **{
                **row,
                "problem": row["problem"] or "",
                "path": folder / "export" / names[row["format"]],
            }
        )
        for row in rows
    ]
    model, photos = folder / "model.keras", folder / "photos"
    evidence = Evidence(ImageIndex.from_source(open_source(photos)))
    reference = Reference.of(hf.Classifier(model), evidence, outlier_score=False)
    export = Export(model, folder / "export", tuple(files))
    return Exportable(model, folder / "export/model.onnx", export, photos, evidence, reference)


def _make(folder: Path) -> None:
    """Fit a classifier of corners (flatten, since positions decide), and export it."""
    photos = write_photos(folder / "photos")
    model = classifiers.corner_classifier("flatten", folder / "model.keras")
    export = hf.export(model, "onnx,openvino,keras", images=photos)
    (folder / "export.json").write_text(json.dumps(export.to_dict()), "utf-8")
