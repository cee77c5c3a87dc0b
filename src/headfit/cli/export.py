"""``headfit export``: write a model in other formats, each proved to agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headfit.cli.command import OUTPUT, Command
from headfit.cli.console import ConsoleCallback, output, tell
from headfit.cli.options import DATA, MODEL, PATH, PREPROCESSING_MODES, REPORTING, option
from headfit.cli.tables import literal, plain_table, print_json
from headfit.report.text.metrics import METRICS
from headfit.report.text.model_card import from_bytes

EXAMPLES = """\b
Examples:
  headfit export headfit-run/model.keras
  headfit export headfit-run/model.keras --to onnx,openvino,keras --out exported
  headfit export headfit-run/model.keras --to openvino --precision int8
  headfit export headfit-run/model.keras --from-bytes
  headfit export headfit-run/model.keras --images moved/photos
  headfit export my-model.keras --classes cat,dog --preprocessing tf
"""
FORMAT = "Format"


@click.command(cls=Command, epilog=EXAMPLES)
@click.argument("model", type=PATH)
@option(
    FORMAT,
    "--to",
    default="onnx",
    metavar="FORMATS",
    help="onnx, openvino, litert, saved_model or keras (a .keras file that opens without headfit); "
    "several, separated by commas.",
)
@option(
    FORMAT,
    "--precision",
    type=click.Choice(["float32", "float16", "int8"]),
    default="float32",
    help="float16 stores weights in half the bytes; int8 computes in 8-bit integers, calibrated on "
    "images of the run.",
)
@option(
    FORMAT,
    "--max-drop",
    type=float,
    default=0.01,
    metavar="FRACTION",
    help="The most accuracy that int8 may cost, as a share of the images.",
)
@option(
    FORMAT,
    "--fuse",
    is_flag=True,
    help="Fold pooling, scaling and a linear head into one matrix product, where that is faster.",
)
@option(
    FORMAT,
    "--outlier-score",
    is_flag=True,
    help="Add a second output: above 1, an image is unlike the training images.",
)
@option(
    FORMAT,
    "--from-bytes",
    is_flag=True,
    help="With --to onnx, decode inside the model: its input is the content of a JPEG or PNG file.",
)
@option(
    DATA,
    "--images",
    metavar="SOURCE",
    show_default="where the run read them",
    help="Images of the run, as compare takes them, to check the files with.",
)
@option(
    MODEL,
    "--classes",
    metavar="NAMES",
    help="For a model that headfit did not write: names of its classes, in the order of its "
    "outputs, separated by commas.",
)
@option(
    MODEL,
    "--preprocessing",
    type=PREPROCESSING_MODES,
    help="For such a model: how it expects pixels to be scaled.",
)
@option(
    OUTPUT,
    "--out",
    type=PATH,
    metavar="PATH",
    show_default="the folder export beside MODEL",
    help="Folder for the files.",
)
@REPORTING
def command(model: Path, classes: str | None, as_json: bool, debug: bool, **options: Any) -> int:
    """Write MODEL in other formats, and check that each agrees with headfit predict.

    Input: images, uint8 (batch, height, width, 3). Output: probabilities, or values of numbers. The
    metadata of each file describes decoding and resizing, and names the classes, labels or numbers.
    A file that disagrees is removed, and the exit code is 1.
    """
    from headfit.exports.export import export  # noqa: PLC0415  (heavy)

    names = None if classes is None else [name.strip() for name in classes.split(",")]
    with ConsoleCallback() as callback:
        result = export(model, classes=names, callbacks=callback, **options)
    if as_json:
        print_json(result.to_dict())
    else:
        _show(result.to_dict()["exports"])
    return 0 if result.agrees else 1


def _show(exports: list[dict[str, Any]]) -> None:
    numbers = ("size MB", "images", "difference", "same %", "images/s")
    table = plain_table(("format", *numbers, "file"), numbers)
    for each in exports:
        table.add_row(*map(literal, _cells(each)))
    output().print(table)
    for each in exports:
        if accuracy := each["accuracy"]:
            tell(f"{each['format']}: {_change(accuracy)}.")
        if each["decoding"]:
            tell(f"{each['format']}: {from_bytes(each['decoding'])}")
        if each["problem"]:
            tell(f"{each['format']} was not kept: {each['problem']}.")


def _change(accuracy: dict[str, Any]) -> str:
    """Say what 8-bit integers cost."""
    metric = METRICS[accuracy.get("metric", "accuracy")]
    before, after = (metric.value(accuracy[when]) for when in ("before", "after"))
    return f"{metric.name} {before} before, {after} after"


def _cells(each: dict[str, Any]) -> list[str]:
    difference, speed = each["max_abs_difference"], each["images_per_second"]
    return [
        each["format"],
        f"{each['bytes'] / 1e6:.1f}",
        f"{each['images']:,}",
        "" if difference is None else f"{difference:.1g}",
        f"{100 * each['top1_agreement']:.1f}",
        "" if speed is None else f"{speed:.0f}",
        each["path"] or "not kept",
    ]
