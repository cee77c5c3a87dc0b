"""headfit's record in a model file, carried over to the converted model."""

from __future__ import annotations

import zipfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from headfit.conversion.algebra import Form
from headfit.heads.body import BatchNorm, Dense
from headfit.heads.chain import parse_body
from headfit.heads.custom.pooling import is_custom
from headfit.heads.layers import LOW_RANK
from headfit.model.metadata import ModelRecord
from headfit.study.reliability.model_reliability import Reliabilities
from headfit.util.model_parts import RECORD

SHARED_NAME = "low_rank_shared"
"""Name of a shared low rank in the record; no chain has this name."""


def read_record(path: Path) -> ModelRecord | None:
    """Read the record of a model that headfit wrote; None for any other.

    Raises:
        ModelFileError: if the record is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if RECORD not in archive.namelist():
                return None
    except Exception:
        return None  # HDF5, or no model at all: what opens it says so
    return ModelRecord.read(path)


def new_record(
    old: ModelRecord, form: Form, probe: np.ndarray, reliability: Reliabilities | None
) -> ModelRecord:
    """Make the record of the converted model.

    Args:
        old: of the model that was converted.
        form: of the new top.
        probe: its outputs for the probe images, (2, K).
        reliability: temperatures, thresholds, intervals that apply to it.
    """
    rows = tuple(tuple(map(float, row)) for row in probe)
    head = _chain(old.head, form.kind)
    return ModelRecord(
        old.classes,
        old.contract,
        head,
        old.backbone,
        rows,
        version("headfit"),
        reliability,
        old.provenance,
        old.kind,
    )


def _chain(head: str, kind: str) -> str:
    """Spell the new head: the new pooling, and the layers that are left."""
    # the old pooling may be a low rank that all classes share, which no chain names
    steps = () if is_custom(head) else parse_body(head.split("-")[1:], head)
    dense = next((i for i, step in enumerate(steps) if isinstance(step, Dense)), len(steps))
    before = [s for s in steps[:dense] if not isinstance(s, BatchNorm) and kind != LOW_RANK.name]
    name = SHARED_NAME if kind == "shared" else kind
    return "-".join([name, *map(str, before), *map(str, steps[dense:])])
