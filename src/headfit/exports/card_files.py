"""What a card says of the files: what they take and give, how they were proved, how to run them."""

from __future__ import annotations

from collections.abc import Sequence

from headfit.exports.contents import Contents
from headfit.exports.exported import ExportedFile
from headfit.exports.formats.onnx_bytes import FROM_BYTES, OnnxBytes
from headfit.exports.markdown import plain, table, verbatim
from headfit.exports.record import IMAGES, OUTLIER_SCORE, ExportRecord
from headfit.exports.snippets.program import programs
from headfit.images.targets import CLASS, LABELS, NUMBER
from headfit.report.text import model_card as text
from headfit.report.text.numbers import percent

DECODING = (
    "An image is decoded, turned upright by its EXIF orientation, put over white where it is "
    "transparent, and resized to the size of the input with antialiasing, whatever its aspect "
    "ratio. Everything else happens in the model."
)


def inputs(record: ExportRecord, contents: Contents) -> str:
    """Describe input and output of each file."""
    inside = [each for each in contents.exports if each.format == OnnxBytes.name]
    outside = len(inside) < len(contents.exports) or not inside
    scored = [each for each in contents.exports if each.outlier_score]
    only = f" of {_names(inside)}" if outside else ""
    one = f"; the batch{only} is 1" if inside else ""
    rows = []
    if outside:
        height, width = record.contract.height, record.contract.width
        taken = f"uint8, (batch, {height}, {width}, 3), RGB, 0 to 255"
        rows.append((f"input `{IMAGES}`", taken))
    if inside:
        taken = f"uint8, (bytes): the content of a file. {FROM_BYTES['reads']}"
        rows.append((f"input `{FROM_BYTES['input']}`{only}", taken))
    units = ", in the numbers' own units" if record.target == NUMBER else ""
    shape = f"float32, (batch, {len(record.classes)}){units}{one}"
    rows.append((f"output `{record.outputs[0]}`", shape))
    if scored:
        meaning = "above 1 the image is unlike the training images"
        some = f", in {_names(scored)} only" if len(scored) < len(contents.exports) else ""
        rows.append((f"output `{OUTLIER_SCORE}`{some}", f"float32, (batch, 1); {meaning}"))
    if inside:
        refusing = f"refused by {_names(inside)}, with an error"
        rows += [(refusing, FROM_BYTES["refuses"]), ("differs", FROM_BYTES["differs"])]
    parts = ["## Input and output", table(("", ""), rows)]
    return "\n\n".join([*parts, DECODING] if outside else parts)


def file_table(contents: Contents, kind: str = CLASS) -> str:
    """List the files, and how each was proved; ``kind`` is that of the targets."""
    if not contents.exports:
        return ""
    same, largest, agrees = _AGREEMENT[kind]
    columns = ("file", "format", "precision", "MB", "largest difference", same)
    rows = [
        [
            _names([each]),
            each.format,
            each.precision,
            f"{each.bytes / 1e6:.1f}",
            "" if each.max_abs_difference is None else f"{each.max_abs_difference:.1g}",
            f"{percent(each.top1_agreement)} % of {each.images:,}",
        ]
        for each in contents.exports
    ]
    note = (
        f"The largest difference of an output from `headfit predict`{largest}, and the share of "
        f"images with {agrees}: from the bytes of image files, in the format's own runtime."
    )
    changes = []
    for each in contents.exports:
        if each.accuracy:
            changes.append(f"{_names([each])}: {plain(text.int8(each.accuracy))}")
        if each.decoding:
            changes.append(f"{_names([each])}: {plain(text.from_bytes(each.decoding.to_dict()))}")
    if contents.others:
        listed = ", ".join(f"`{name}`" for name in contents.others)
        changes.append(f"Of another export, and not described here: {listed}.")
    return "\n\n".join(["## Files", table(columns, rows), note, *changes])


_AGREEMENT = {
    CLASS: ("same class", "", "the same most probable class"),
    LABELS: ("same labels", "", "the same labels"),
    NUMBER: (
        "same numbers",
        ", as a share of the numbers' spread",
        "the same numbers to 2 % of their spread",
    ),
}
"""Of each kind of target the head of a column, what differences are in, and what agrees."""


def instructions(record: ExportRecord, contents: Contents) -> str:
    """Show the programs that run the files."""
    names = {each.format: each.path.name for each in contents.exports if each.path is not None}
    parts = ["## Run it", "These programs need no headfit. They lie beside the model."]
    for name, code in programs(record, names).items():
        language = "js" if name.endswith(".mjs") else "python"
        parts.append(f"`{name}`:\n\n```{language}\n{code.rstrip()}\n```")
    return "\n\n".join(parts) if names else ""


def _names(exports: Sequence[ExportedFile]) -> str:
    return ", ".join(f"`{verbatim(each.path.name)}`" for each in exports if each.path is not None)
