"""The record of one run: all that a board says of it, in some tens of kilobytes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headfit.board.inputs import Prepared
from headfit.errors import DataError
from headfit.images.targets import CLASS, LABELS
from headfit.report.text import metrics
from headfit.report.text.claims import inflations
from headfit.runs.study import Study
from headfit.study.version import STATISTICS
from headfit.util import digests, files, records
from headfit.util.machine import hardware

SCHEMA = "headfit.board/1"
FOLDER = "records"
MAX_BYTES = 1 << 20
DIGITS = 6  # significant ones of every number
_NUMBERS = re.compile(r"\[\n\s+([^\[\]{}\"]*?)\n\s*\]")
_SHAPE = {
    **dict.fromkeys(("declaration", "fingerprints", "protocol", "targets"), dict),
    **dict.fromkeys(("images", "place", "verdict", "versions"), dict),
    "candidates": list,
    "statistics": int,
    "metric": str,
}


def record_of(prepared: Prepared, study: Study) -> dict[str, Any]:
    """Give the record of a run that was made.

    Args:
        prepared: the run, and what it read.
        study: its result.

    Returns:
        Plain data. It holds no path of this machine but those that the list gives relative to
        itself, and no name of this machine or its user.
    """
    results, verdict = study.results, study.results["verdict"]
    settings, place, key = results["settings"], results["backbones"][0], metrics.primary(verdict)
    where, claims = results["where"], results["claims"]
    record = {
        "schema": SCHEMA,
        "name": prepared.run.name,
        "declaration": prepared.run.to_dict(),
        "statistics": STATISTICS,
        "metric": key,
        "protocol": {
            "name": settings["protocol"],
            **{name: settings[name] for name in ("folds", "repeats", "rope", "seed")},
        },
        "targets": results["targets"],
        "images": _images(study),
        "place": {
            "backbone": place["backbone"],
            "weights": re.split(r"[\\/]", place["weights"])[-1],
            **{name: place[name] for name in ("cut", "input_size", "map_shape", "parameters")},
        },
        "verdict": verdict,
        "candidates": [_candidate(each, key) for each in results["candidates"]],
        "spectrum": where and where["spectrum"],
        "claims": claims and inflations(claims),
        "position_share": where and where["projection"]["position_share"],
        "test": _test(results["test"], key),
        "fingerprints": {
            **results["fingerprint"],
            "inputs": prepared.digest,
            "folds": digests.of_data(
                sorted(zip(study.index.paths, study.folds.T.tolist(), strict=True))
            ),
        },
        "versions": {**settings["versions"], "python": settings["python"]},
        "hardware": hardware(),
        "seconds": results["timings"],
    }
    rounded: dict[str, Any] = _rounded(record)
    return rounded


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record, whole or not at all; lists of numbers stand on one line.

    Raises:
        WriteError: it cannot be written.
    """
    text = json.dumps(record, indent=1, allow_nan=False)  # line breaks of texts are escaped
    files.write_text(path, _NUMBERS.sub(lambda m: f"[{' '.join(m[1].split())}]", text) + "\n")


def read_record(path: Path) -> dict[str, Any]:
    """Read a record, which anybody may have written.

    Raises:
        DataError: it cannot be read, or is not a record of this version.
    """
    try:
        record = records.read_json(path, MAX_BYTES, follow_links=False)
    except OSError as error:
        raise DataError(f"Cannot read '{path}': {error.strerror}.") from error
    schema = record.get("schema") if isinstance(record, dict) else None
    if schema != SCHEMA:
        raise DataError(
            f"'{path}' has schema {repr(schema)[:40]}, and this version reads {SCHEMA}. Remove the "
            f"file, or use the version of headfit that wrote it."
        )
    if absent := records.lacking(record, _SHAPE):
        raise DataError(
            f"'{path}' lacks {', '.join(absent)}: it may be damaged. Remove it, and run it again."
        )
    return dict(record)


def why_again(record: Mapping[str, Any], prepared: Prepared) -> str:
    """Say why a record does not serve for a declared run; empty if it does."""
    if record["declaration"] != _rounded(prepared.run.to_dict()):
        return "it is declared otherwise"
    if record["statistics"] != STATISTICS:
        return f"its statistics are of version {record['statistics']}, now {STATISTICS}"
    if record["fingerprints"].get("inputs") != prepared.digest:
        return "its images or other files have changed"
    return ""


def _images(study: Study) -> dict[str, Any]:
    """Count the images that heads are trained on, and those of each class or label."""
    targets = study.index.targets
    test = study.results["test"]
    described: dict[str, Any] = {"training": len(targets), "test": test["images"] if test else 0}
    if targets.kind in (CLASS, LABELS):
        described["counts"] = targets.counts()
    return described


def _candidate(each: Mapping[str, Any], key: str) -> dict[str, Any]:
    ends, loss = ("mean", "low", "high"), metrics.loss_key(key)
    return {
        "head": each["head"],
        "linear": each["linear"],
        "position_aware": each["position_aware"],
        "parameters": each["parameters"]["head"],
        key: each[key],
        **{name: {end: each[name][end] for end in ends} for name in (loss, "overfit_gap")},
        "train_seconds": each["train_seconds"],
    }


def _test(test: Mapping[str, Any] | None, key: str) -> dict[str, Any] | None:
    if test is None:
        return None
    return {"head": test["head"], "images": test["images"], key: test[key]}


def _rounded(data: Any) -> Any:
    """Keep so many digits that a run made again on another processor gives the same."""
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_rounded(value) for value in data]
    return float(f"{data:.{DIGITS}g}") if isinstance(data, float) else data
