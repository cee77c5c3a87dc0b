"""Convert a saved model: another top, nothing else changed, and what that does to it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headfit.conversion import algebra
from headfit.conversion.algebra import Form
from headfit.conversion.record import new_record, read_record
from headfit.conversion.request import Request
from headfit.conversion.subject import Subject, check_agreement
from headfit.errors import ModelFileError, UsageError
from headfit.progress import Callback
from headfit.util import files

if TYPE_CHECKING:
    from headfit.conversion.measured import Measured
    from headfit.model.metadata import ModelRecord

SCHEMA = "headfit.conversion/1"
EXACT = 1e-10  # of ‖W‖² that may be lost where a conversion counts as exact
PathLike = str | os.PathLike[str]


def convert(
    model: PathLike,
    to: str,
    *,
    out: PathLike | None = None,
    rank: int | None = None,
    shared: bool = False,
    data: PathLike | None = None,
    refit: bool = False,
    preprocessing: str | None = None,
    seed: int = 0,
    callback: Callback | None = None,
) -> dict[str, Any]:
    """Write a model with another top.

    Args:
        model: a ``.keras`` or ``.h5`` file: a map, ``GlobalAveragePooling2D`` or ``Flatten``, then
            ``Dense``; whatever follows stays.
        to: ``"gap"``, ``"flatten"`` or ``"low_rank"``.
        out: the ``.keras`` file to write; ``MODEL-TO.keras`` beside the model if None.
        rank: of ``low_rank``; the least that keeps 95 % of the squared norm of the weights if None.
        shared: one low rank for all classes instead of one for each.
        data: class folders of images to measure accuracy on.
        refit: write the top that was fitted anew on ``data``, not the converted one.
        preprocessing: ``"none"``, ``"tf"``, ``"caffe"`` or ``"torch"``: what turns pixels into the
            input of a model that headfit did not write and that does not do it itself.
        seed: of the folds.
        callback: is told the progress.

    Returns:
        What ``headfit convert --json`` prints; see docs/convert.md.

    Raises:
        UsageError: if the call cannot be meant, or ``out`` exists.
        ModelFileError: if the model has another top, or that already.
        DataError: if the images cannot answer.
        EngineError: if the network cannot run, or what was written does not give what it must.
        WriteError: if it cannot be written.
    """
    path = Path(model)
    target = path.with_name(f"{path.stem}-{to}.keras") if out is None else Path(out)
    folder = None if data is None else Path(data)
    request = Request(path, to, target, rank, shared, folder, refit, preprocessing, seed)
    request.check()
    with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as place:
        return _Conversion(request, Path(place), callback or Callback()).run()


class _Conversion:
    def __init__(self, request: Request, folder: Path, callback: Callback) -> None:
        self.request, self.folder, self.callback = request, folder, callback
        self.remarks: list[str] = []

    def run(self) -> dict[str, Any]:
        request, callback = self.request, self.callback
        callback.on_stage_begin("Taking the model apart", 1)
        record = read_record(request.model)
        self._check_preprocessing(record)
        subject = Subject.open(request.model, self.folder, request.pixels, callback.on_message)
        form = self._form(subject)
        measured = self._measure(subject, form, record)
        refitted = measured.refit if measured else None
        kept = refitted.form if request.refit and refitted else form
        numbers = {"old": subject.own, "new": form, "kept": kept}
        probed = {name: each.numbers(subject.probes) for name, each in numbers.items()}
        outputs = subject.outputs(probed)
        check_agreement(subject.outputs_before(), outputs["old"], f"'{request.model}'")
        callback.on_stage_begin("Writing the model", 1)
        staged = self.folder / "converted.keras"
        written = subject.write(kept, staged)
        check_agreement(subject.outputs_after(staged), outputs["kept"], "The converted model")
        if record is not None:
            self._record(record, kept, outputs["kept"], measured).append_to(staged)
        request.check_free()
        files.write_file(request.out, lambda path: _copy(staged, path))
        change = {
            "logit": float(np.abs(probed["new"] - probed["old"]).max()),
            "output": float(np.abs(outputs["new"] - outputs["old"]).max()),
        }
        self._remark(subject, form)
        return self._document(subject, form, written, change, measured, record)

    def _check_preprocessing(self, record: ModelRecord | None) -> None:
        if record is not None and self.request.preprocessing is not None:
            raise UsageError(
                f"'{self.request.model}' is headfit's own and preprocesses its images itself; "
                f"leave --preprocessing out."
            )

    def _form(self, subject: Subject) -> Form:
        to, facts = self.request.to, subject.facts
        if facts["pooling"] == to:
            raise ModelFileError(f"'{self.request.model}' has {to} already; nothing to convert.")
        height, width, _ = facts["map_shape"]
        w = algebra.written_out(subject.own.kind, subject.kernel, height * width)
        if to == "flatten":
            return algebra.to_flatten(w, subject.bias)
        if to == "gap":
            return algebra.to_gap(w, subject.bias)
        decompose = algebra.to_shared if self.request.shared else algebra.to_low_rank
        return decompose(w, subject.bias, self.request.rank)

    def _measure(self, subject: Subject, form: Form, record: ModelRecord | None) -> Measured | None:
        if self.request.data is None:
            return None
        # a second to import, which a conversion without images does not need
        from headfit.conversion.measured import measure  # noqa: PLC0415

        classes = record.classes if record else None
        return measure(subject, form, self.request, classes, self.callback)

    def _record(
        self, old: ModelRecord, kept: Form, probe: np.ndarray, measured: Measured | None
    ) -> ModelRecord:
        reliability = old.reliability
        if self.request.refit and measured:
            reliability = measured.reliability(old.classes, self.request.seed)
        elif not _exact(kept):
            reliability = None
            if old.reliability is not None:
                self.remarks.append(
                    "Temperature, prediction sets and outlier threshold were of the old head and "
                    "are left out; --data FOLDER --refit measures them anew."
                )
        return new_record(old, kept, probe, reliability)

    def _remark(self, subject: Subject, form: Form) -> None:
        facts = subject.facts
        if facts["folded"]:
            names = ", ".join(f"'{name}'" for name in facts["folded"])
            self.remarks.append(f"{names} is folded into the weights of the new layer.")
        if facts["dropout"] and form.kind == "low_rank":
            names = ", ".join(f"'{name}'" for name in facts["dropout"])
            self.remarks.append(f"{names} is left out: no vector is left to drop from.")
        if form.rank is not None and form.parameters >= subject.own.parameters:
            self.remarks.append(
                f"Rank {form.rank} costs more parameters than the layer that it replaces; a "
                f"smaller --rank saves some, and keeps less."
            )
        self.remarks.append("The file is not compiled: compile it to train it further.")

    def _document(
        self,
        subject: Subject,
        form: Form,
        written: dict[str, Any],
        change: dict[str, float],
        measured: Measured | None,
        record: ModelRecord | None,
    ) -> dict[str, Any]:
        facts, request = subject.facts, self.request
        return {
            "schema": SCHEMA,
            "model": str(request.model),
            "out": str(request.out),
            "from": facts["pooling"],
            "to": request.to,
            "shared": request.shared,
            "saved": "refitted" if request.refit else "converted",
            "replaced": facts["layers"],
            "top": written["top"],
            "map_shape": facts["map_shape"],
            "units": facts["units"],
            "rank": form.rank,
            "kept": form.kept,
            "exact": _exact(form),
            "parameters": {
                "before": {"top": facts["top_parameters"], "total": facts["parameters"]},
                "after": {"top": written["top_parameters"], "total": written["parameters"]},
            },
            "change": change,
            "data": measured.to_dict() if measured else None,
            "headfit": record is not None,
            "remarks": [*(measured.remarks if measured else []), *self.remarks],
        }


def _exact(form: Form) -> bool:
    return 1 - form.kept <= EXACT


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
