"""SECURITY.md states the limits that the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from headfit.backbones import torch_file
from headfit.board import declaration, record, rendering, rows
from headfit.images import budget, gate, groups, helper, structure
from headfit.images.sources import members
from headfit.monitor import folder, server
from headfit.serve.inference import document
from headfit.serve.limits import Limits
from headfit.util import limits, model_parts, records, tables
from headfit.web import connection, guard, listener
from headfit.web.connection import Bounds

TEXT = (Path(__file__).parents[2] / "SECURITY.md").read_text("utf-8").split("## Limits")[1]
ROWS = dict(re.findall(r"(?m)^\| ([^|*]+?) \| ([^|]+?) \| [^|]*\|$", TEXT))
MB, GB = 2**20, 2**30
SERVED, LIMITS_OF_SERVE = Bounds(), Limits()
LONG = f"{structure.MAX_LONG_SEGMENTS}"
LIMITS = {
    "bytes of a file": f"{gate.MAX_BYTES:,}",
    "pixels; pixels of a side": f"{gate.MAX_PIXELS:,}; {gate.MAX_SIDE:,}",
    "memory for decoding, all threads together": f"{budget.MAX_MEMORY / 1e9:g} GB",
    "JPEG: segments; scans": f"{structure.MAX_SEGMENTS:,}; {structure.MAX_SCANS}",
    "JPEG: segments of EXIF; segments of Photoshop": "; ".join(2 * [LONG]),
    "JPEG: bytes between segments": f"{structure.MAX_PADDING:,}",
    "PNG: chunks of pixels; other chunks; compressed chunks": (
        f"{structure.MAX_PIXEL_CHUNKS:,}; {structure.MAX_CHUNKS:,}; {structure.MAX_COMPRESSED}"
    ),
    "GIF: blocks before the first frame": f"{structure.MAX_BLOCKS:,}",
    "WebP: chunks": f"{structure.MAX_FRAMES:,}",
    "TIFF: tags of a directory; strips or tiles": (
        f"{structure.MAX_TAGS:,}; {structure.MAX_STRIPS:,}"
    ),
    "processor time of an image in the helper process": (
        f"{helper.LEAST_SECONDS} s, plus 1 s for each {helper.BYTES_A_SECOND // 10**6} MB that it "
        f"needs"
    ),
    "elapsed time of it": f"{helper.BUSY} times that",
    "bytes of a table; rows": f"{tables.MAX_BYTES:,}; {tables.MAX_ROWS:,}",
    "members of an archive; unpacked size": (
        f"{members.MAX_MEMBERS:,}; {members.MAX_EXPANSION} times the archive, if over "
        f"{members.LARGE // 10**9} GB"
    ),
    "a header in a `.tar`": f"{members.MAX_HEADER // 10**6} MB",
    "bytes of a `--groups` file": f"{groups.MAX_BYTES:,}",
    "a `--groups` expression": (
        f"{groups.SECONDS:g} s, and {groups.SECONDS_PER_IMAGE * 1e3:g} ms for each image"
    ),
    "members of a `.keras` file; compression": f"{model_parts.MAX_MEMBERS:,}; stored or deflated",
    "its configuration; objects in it": (
        f"{model_parts.LIMITS['config.json'] // 10**6} MB; {model_parts.MAX_OBJECTS:,}"
    ),
    f"size in memory, of each part and all, above {model_parts.SMALL // 10**6} MB": (
        f"{model_parts.MAX_EXPANSION} times that on disk"
    ),
    "calls of layers to build it": f"{model_parts.MAX_CALLS:,}",
    "numbers that a layer makes of one image": {2**28: "2²⁸"}[model_parts.MAX_OUTPUT],
    "`.pth` file; its tensors together": (
        f"{torch_file.MAX_BYTES // GB} GB; {torch_file.MAX_EXPANSION} times the file"
    ),
    "steps of the pickle in it": f"{torch_file.MAX_STEPS:,}",
    "memory while Keras loads the file (Linux)": (
        f"{limits.ROOM // GB} GB, {limits.ROOM_OF_CORE // MB} MB a core, and {limits.COPIES} times "
        f"the weights"
    ),
    "memory of a process that runs models (Linux)": (
        f"{ {0.75: '¾'}[limits.SHARE] } of the machine's"
    ),
    "time to open a model file": f"{limits.DEFAULT_SECONDS:g} s",
    "`results.json`, `predictions.csv`": f"{records.MOST_BYTES // MB} MB, regular files",
    "`progress.json`; `report.html` on the live page": (
        "; ".join(f"{most // MB} MB" for most in folder.MOST_BYTES.values()) + ", regular files"
    ),
    "live page: connections; seconds for a request, for an answer": (
        f"{server.BOUNDS.connections}; {server.BOUNDS.head:g}; {server.BOUNDS.answer:g}"
    ),
    "bytes of a list for `headfit board`; full stops in a line; runs": (
        f"{declaration.MAX_BYTES:,}; {declaration.MAX_DOTS}; {declaration.MAX_RUNS:,}"
    ),
    "bytes of a record; heads in it; records of a board": (
        f"{record.MAX_BYTES // MB} MB, regular files; {rows.MOST_HEADS}; {rendering.MAX_RECORDS}"
    ),
    "header fields of a request; bytes of them": f"{guard.HEADERS}; {guard.HEADER_BYTES:,}",
    "connections that are answered; refused with an answer": (
        f"{SERVED.connections}; {SERVED.surplus} more"
    ),
    "seconds for headers; for reading an answer; between requests": (
        f"{SERVED.head:g}; {SERVED.answer:g}; {SERVED.idle}"
    ),
    "seconds for a body": f"{SERVED.body:g} s, plus 1 s for each {SERVED.rate:,} bytes",
    "chunks of a body": f"{connection.PIECES}, and 1 for each {connection.PIECE_BYTES} bytes",
    "seconds for the rest of a request that is refused": f"{SERVED.rest:g}",
    "seconds for answers that are due when it stops": f"{listener.GRACE:g}",
    "bytes of a file sent; of a request; of all requests being answered": (
        f"{LIMITS_OF_SERVE.file_bytes:,}; {LIMITS_OF_SERVE.body_bytes:,}; "
        f"{LIMITS_OF_SERVE.held_bytes:,}"
    ),
    "images of a request; accepted and not yet answered": (
        f"{LIMITS_OF_SERVE.files}; {LIMITS_OF_SERVE.queue}"
    ),
    "seconds for an answer": f"{LIMITS_OF_SERVE.deadline:g}",
    "JSON beside tensors: values; bytes; depth": (
        f"{document.VALUES:,}; {document.TEXT_BYTES:,}; {document.DEPTH}"
    ),
}
WITHOUT_NUMBER = {
    "where a link may point",
    "images in a compressed `.tar`, together",
    "times that one folder or file is read",
    "owner and mode of its folders",
}


@pytest.mark.parametrize("what", LIMITS)
def test_a_stated_limit_is_that_of_the_code(what: str) -> None:
    assert ROWS[what] == LIMITS[what]


def test_no_row_is_left_out() -> None:
    assert ROWS.keys() - {"what", "---"} == LIMITS.keys() | WITHOUT_NUMBER
