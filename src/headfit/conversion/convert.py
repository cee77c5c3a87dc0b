"""Convert a saved model: replace its top and change nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headfit.conversion import algebra
from headfit.conversion.algebra import Form
from headfit.conversion.conversion import Arguments, Conversion
from headfit.conversion.opened_model import OpenedModel, check_agreement
from headfit.conversion.record import new_record, read_record
from headfit.errors import ModelFileError, UsageError
from headfit.images.targets import CLASS, LABELS, NUMBER, SEPARATOR
from headfit.progress import Callback, CallbackList
from headfit.util import files

if TYPE_CHECKING:
    from headfit.conversion.measured import Measurement
    from headfit.model.metadata import ModelRecord

EXACT = 1e-10  # share of ‖W‖² that an exact conversion may lose
PathLike = str | os.PathLike[str]
_LEFT_OUT = {
    CLASS: "Temperature, prediction sets and the outlier threshold belong to the old head and are "
    "left out. `data` with `refit=True` measures them again.",
    LABELS: "Temperatures, thresholds and the outlier threshold belong to the old head and are "
    "left out: labels are told from a probability of one half on. `data` with `refit=True` "
    "measures them again.",
    NUMBER: "Intervals and the outlier threshold belong to the old head and are left out. `data` "
    "with `refit=True` measures them again.",
}


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
    splits: bool | None = None,
    follow_links: bool = False,
    path_column: str | None = None,
    label_column: str | Iterable[str] | None = None,
    split_column: str | None = None,
    group_column: str | None = None,
    target: str | None = None,
    label_separator: str = SEPARATOR,
    root: PathLike | None = None,
    callbacks: Callback | Iterable[Callback] | None = None,
) -> Conversion:
    """Give a trained model another top: ``gap``, ``flatten`` or ``low_rank`` instead of its own.

    Args:
        model: a ``.keras`` or ``.h5`` file: a feature map, ``GlobalAveragePooling2D`` or
            ``Flatten``, then ``Dense``. The layers that follow stay.
        to: ``"gap"``, ``"flatten"`` or ``"low_rank"``.
        out: the ``.keras`` file to write; ``MODEL-TO.keras`` beside the model if None.
        rank: of ``low_rank``; if None, the smallest that keeps 95 % of the weights' squared norm.
        shared: use one low rank for all classes instead of one for each.
        data: images to measure accuracy on, or for labels macro average precision and for numbers
            R²: a folder of class folders, an archive of those, a table
            of image files, or ``hf:`` and a data set, as :func:`headfit.compare` takes them.
        refit: write the top that was refitted on ``data``, not the converted one.
        preprocessing: ``"none"``, ``"tf"``, ``"caffe"`` or ``"torch"``: how to scale pixels for a
            model that headfit did not write and that does not scale them itself.
        seed: random seed of the folds.
        splits: whether the folders of ``data`` are ``train``/``val``/``test`` folders of class
            folders (True) or classes (False). If None, their names decide.
        follow_links: whether links are followed that point outside ``data``.
        path_column: of a table; this and the next six as for
            :meth:`headfit.ImageIndex.from_table`.
        label_column: of a table.
        split_column: of a table.
        group_column: of a table.
        target: ``"class"``, ``"labels"`` or ``"number"``; if None, the source shows it.
        label_separator: what stands between the labels in a cell of a table.
        root: of a table.
        callbacks: told about the progress.

    Returns:
        What was written, and what that changed; ``to_dict()`` gives the JSON of docs/convert.md.

    Raises:
        UsageError: if an argument cannot be used, or ``out`` exists.
        ModelFileError: if the model has another kind of top, or has this one already.
        DataError: if the images do not fit the model.
        EngineError: if the network cannot run, or the written file gives wrong outputs.
        WriteError: if the file cannot be written.

    Example:

    ```python
    conversion = hf.convert("my-model.keras", "gap", data="photos/")
    print(conversion.parameters, conversion.data["after"]["accuracy"])
    ```
    """
    path = Path(model)
    arguments = Arguments(
        model=path,
        to=to,
        out=path.with_name(f"{path.stem}-{to}.keras") if out is None else Path(out),
        rank=rank,
        shared=shared,
        data=data,
        refit=refit,
        preprocessing=preprocessing,
        seed=seed,
        reading={
            "splits": splits,
            "follow_links": follow_links,
            "path_column": path_column,
            "label_column": label_column,
            "split_column": split_column,
            "group_column": group_column,
            "target": target,
            "label_separator": label_separator,
            "root": root,
        },
    )
    arguments.check()
    with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as place:
        return _Run(arguments, Path(place), CallbackList(callbacks)).run()


class _Run:
    def __init__(self, arguments: Arguments, folder: Path, callback: Callback) -> None:
        self.arguments, self.folder, self.callback = arguments, folder, callback
        self.remarks: list[str] = []

    def run(self) -> Conversion:
        arguments, callback = self.arguments, self.callback
        callback.on_stage_begin("Reading the model", 1)
        record = read_record(arguments.model)
        self._check_preprocessing(record)
        subject = OpenedModel.open(
            arguments.model, self.folder, arguments.pixels, callback.on_message
        )
        if record is not None:
            subject = replace(subject, contract=subject.contract.with_depth(record.contract.depth))
        form = self._form(subject)
        measured = self._measure(subject, form, record)
        refitted = measured.refit if measured else None
        chosen = refitted.form if arguments.refit and refitted else form
        numbers = {"old": subject.own, "new": form, "chosen": chosen}
        probed = {name: each.numbers(subject.probes) for name, each in numbers.items()}
        outputs = subject.outputs(probed)
        check_agreement(subject.outputs_before(), outputs["old"], f"'{arguments.model}'")
        callback.on_stage_begin("Writing the model", 1)
        staged = self.folder / "converted.keras"
        written = subject.write(chosen, staged)
        check_agreement(subject.outputs_after(staged), outputs["chosen"], "The converted model")
        if record is not None:
            self._record(record, chosen, outputs["chosen"], measured).append_to(staged)
        arguments.check_free()
        files.write_file(arguments.out, lambda path: _copy(staged, path))
        change = {
            "logit": float(np.abs(probed["new"] - probed["old"]).max()),
            "output": float(np.abs(outputs["new"] - outputs["old"]).max()),
        }
        self._remark(subject, form)
        return self._result(subject, form, written, change, measured, record)

    def _check_preprocessing(self, record: ModelRecord | None) -> None:
        if record is not None and self.arguments.preprocessing is not None:
            raise UsageError(
                f"'{self.arguments.model}' was written by headfit and preprocesses images itself. "
                f"Leave `preprocessing` out."
            )

    def _form(self, subject: OpenedModel) -> Form:
        to, facts = self.arguments.to, subject.facts
        if facts["pooling"] == to:
            raise ModelFileError(f"'{self.arguments.model}' has {to} already.")
        height, width, _ = facts["map_shape"]
        w = algebra.written_out(subject.own.kind, subject.kernel, height * width)
        if to == "flatten":
            return algebra.to_flatten(w, subject.bias)
        if to == "gap":
            return algebra.to_gap(w, subject.bias)
        decompose = algebra.to_shared if self.arguments.shared else algebra.to_low_rank
        return decompose(w, subject.bias, self.arguments.rank)

    def _measure(
        self, subject: OpenedModel, form: Form, record: ModelRecord | None
    ) -> Measurement | None:
        if self.arguments.data is None:
            return None
        # a second to import, which a conversion without images does not need
        from headfit.conversion.measured import measure  # noqa: PLC0415

        return measure(subject, form, self.arguments, record, self.callback)

    def _record(
        self, old: ModelRecord, form: Form, probe: np.ndarray, measured: Measurement | None
    ) -> ModelRecord:
        reliability = old.reliability
        if self.arguments.refit and measured:
            reliability = measured.reliability(self.arguments.seed)
        elif not _exact(form):
            reliability = None
            if old.reliability is not None:
                self.remarks.append(_LEFT_OUT[old.kind])
        return new_record(old, form, probe, reliability)

    def _remark(self, subject: OpenedModel, form: Form) -> None:
        facts = subject.facts
        if facts["folded"]:
            names = ", ".join(f"'{name}'" for name in facts["folded"])
            self.remarks.append(f"{names} is folded into the weights of the new layer.")
        if facts["dropout"] and form.kind == "low_rank":
            names = ", ".join(f"'{name}'" for name in facts["dropout"])
            self.remarks.append(f"{names} is left out: a low rank has no pooled vector.")
        if form.rank is not None and form.parameters >= subject.own.parameters:
            self.remarks.append(
                f"Rank {form.rank} takes more parameters than the layer that it replaces. A "
                f"smaller `rank` takes fewer and keeps less."
            )
        self.remarks.append("The model is not compiled. Compile it to train it further.")

    def _result(
        self,
        subject: OpenedModel,
        form: Form,
        written: dict[str, Any],
        change: dict[str, float],
        measured: Measurement | None,
        record: ModelRecord | None,
    ) -> Conversion:
        facts, arguments = subject.facts, self.arguments
        height, width, channels = facts["map_shape"]
        return Conversion(
            model=arguments.model,
            out=arguments.out,
            pooling=facts["pooling"],
            to=arguments.to,
            shared=arguments.shared,
            saved="refitted" if arguments.refit else "converted",
            replaced=facts["layers"],
            top=written["top"],
            map_shape=(height, width, channels),
            units=facts["units"],
            rank=form.rank,
            kept=form.share,
            exact=_exact(form),
            parameters={
                "before": {"top": facts["top_parameters"], "total": facts["parameters"]},
                "after": {"top": written["top_parameters"], "total": written["parameters"]},
            },
            change=change,
            data=measured.to_dict() if measured else None,
            headfit=record is not None,
            remarks=[*(measured.remarks if measured else []), *self.remarks],
        )


def _exact(form: Form) -> bool:
    return 1 - form.share <= EXACT


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
