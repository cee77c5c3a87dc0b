"""A finished comparison: the verdict, every number, and the way to the classifier."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headfit.errors import UnknownNameError, UsageError
from headfit.images.index import ImageIndex
from headfit.images.targets import CLASS, NUMBER
from headfit.model.blueprint import Blueprint
from headfit.model.classifier import Classifier
from headfit.model.metadata import kept_models, kept_path
from headfit.report.page import NAME, write_report
from headfit.report.text.table import columns, data_frame, shown, table_rows
from headfit.report.text.targets import counted_names, kind_of
from headfit.runs.written import note_written
from headfit.study.comparison.verdict import Verdict
from headfit.util import files, html
from headfit.util.csv_cells import csv_text

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = "headfit.results/2"
READABLE = ("headfit.results/1", SCHEMA)
TEST_PREDICTIONS = "test_predictions.csv"


@dataclass(frozen=True)
class Study:
    """The result of :func:`headfit.compare`.

    It prints as the verdict, and shows itself as a table in a notebook.

    Attributes:
        verdict: the answer, in a word and in sentences.
        results: the content of ``results.json``, plain data.
        index: the training images.
        out_of_fold: float64 (n, K), probabilities of the recommended head for each training image,
            by the model that did not see it; the mean over repeats.
        folds: int (repeats, n), the fold of each training image.
        right: float64 (n,), the share of the repeats in which it was predicted right;
            None for numbers.
        suspects: labels that may be wrong, as CSV; see :meth:`save`.
        blueprint: what the classifier is made of.
        other_models: likewise for each head of ``keep``, by name.
        test_predictions: of images without a label, as CSV; empty if there are none.

    Example:

    ```python
    study = hf.compare("photos", heads="gap,flatten")
    print(study.verdict, study.recommended)
    study.save("run")
    ```
    """

    verdict: Verdict
    results: dict[str, Any]
    index: ImageIndex
    out_of_fold: np.ndarray
    folds: np.ndarray
    right: np.ndarray | None
    suspects: str
    blueprint: Blueprint
    other_models: Mapping[str, Blueprint] = field(default_factory=dict)
    test_predictions: str = ""

    @property
    def recommended(self) -> str:
        """Name of the recommended head."""
        return self.verdict.recommended

    def table(self) -> list[dict[str, Any]]:
        """Give a record for each head, best first.

        Returns:
            ``head``, ``balanced_accuracy`` with the 95 % interval ``low`` to ``high``,
            ``log_loss``, ``parameters`` of the head, their ``share`` of the whole model,
            ``overfit_gap``, ``train_seconds``. Scores are fractions. Of several labels the score is
            ``macro_average_precision``; of numbers it is ``r2``, and ``rmse`` the loss.
        """
        return table_rows(self.results)

    def to_pandas(self) -> pd.DataFrame:
        """Give :meth:`table` as a ``pandas.DataFrame`` with the heads as its index.

        Raises:
            UsageError: if pandas is not installed.
        """
        return data_frame(self.table(), "head")

    def plot(self, kind: str = "scores", ax: Any = None) -> Any:
        """Draw one of the plots of :mod:`headfit.report.plots`.

        Args:
            kind: its name, for instance ``"scores"``, ``"posterior"`` or ``"confusion"``.
            ax: matplotlib axes to draw into; those of a new figure if None.

        Returns:
            The axes.

        Raises:
            UnknownNameError: there is no such plot; lists those that there are.
            UsageError: the comparison did not measure what it shows, and says how to; or it is of
                classes, say, and the run predicts numbers.

        Example:

        ```python
        study.plot("confusion").figure.savefig("confusion.png")
        ```
        """
        from headfit.report import plots  # noqa: PLC0415  (scipy)

        if kind not in plots.__all__:
            raise UnknownNameError("plot", str(kind), plots.__all__)
        return getattr(plots, kind)(self.results, ax)

    def classifier(self, head: str | None = None) -> Classifier:
        """Give a head, fitted on all training images, joined to its backbone.

        Args:
            head: name of a head of ``keep``; the recommended one if None.

        Raises:
            UsageError: there is no model of this head; lists those that there are.
        """
        if head in (None, self.recommended, self.blueprint.fitted.head.name):
            return self.blueprint.classifier()
        if head not in self.other_models:
            names = ", ".join((self.recommended, *self.other_models))
            remedy = "Compare again and name this head in `keep`."
            raise UsageError.invalid("head", head, f"one of {names}", remedy)
        return self.other_models[head].classifier()

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``model.keras``, ``results.json``, ``report.html`` and two tables into a folder.

        ``predictions.csv`` holds the out-of-fold predictions, ``suspects.csv`` the images whose
        labels may be wrong; images without a label are predicted in ``test_predictions.csv``. Heads
        of ``keep`` go to ``heads/NAME.keras``; those of an earlier run are removed from there. A
        model or page that would be written the same is left alone.

        Args:
            folder: is made if it does not exist.

        Returns:
            The folder.

        Raises:
            WriteError: a file cannot be written; each file is whole or absent.
        """
        target = Path(folder)
        files.check_writable(target)
        self.blueprint.write(target / "model.keras")
        models = {kept_path(target, name): each for name, each in self.other_models.items()}
        for path in kept_models(target):
            if path not in models:  # of an earlier run, and not beside this model
                with files.writing(path):
                    path.unlink()
        for path, each in models.items():
            each.write(path)
        predictions = self.predictions_csv()
        files.write_text(target / "predictions.csv", predictions)
        files.write_text(target / "suspects.csv", self.suspects)
        if self.test_predictions:
            files.write_text(target / TEST_PREDICTIONS, self.test_predictions)
        else:
            with files.writing(target / TEST_PREDICTIONS):  # of an earlier run
                (target / TEST_PREDICTIONS).unlink(missing_ok=True)
        files.write_json(target / "results.json", self.results)
        note_written(self.results)
        write_report(target / NAME, self.results, predictions, self.index.source)
        return target

    def predictions_csv(self) -> str:
        """Give the out-of-fold predictions as CSV, a row for each training image.

        Predictions are means over repeats. Of classes ``predicted`` is the most probable one, and
        ``right`` is the share of the repeats in which the image was predicted right, with all its
        labels where it has several; they are written ``a;b``. Numbers have their true and predicted
        values instead of probabilities.
        """
        folds = (f"fold_{repeat}" for repeat in range(1, len(self.folds) + 1))
        rows = (
            [path, self.index.targets.label(row), *self.folds[:, row].tolist(), *self._cells(row)]
            for row, path in enumerate(self.index.paths)
        )
        return csv_text([["path", "label", *folds, *self._columns()], *rows])

    def _columns(self) -> list[str]:
        names = self.index.classes
        if self.index.targets.kind == NUMBER:
            return [f"{what}_{name}" for what in ("true", "predicted") for name in names]
        decided = ["predicted"] if self.index.targets.kind == CLASS else []
        return ["right", *decided, *(f"p_{name}" for name in names)]

    def _cells(self, row: int) -> list[str]:
        targets, predicted = self.index.targets, self.out_of_fold[row]
        if self.right is None:
            return [f"{value:.9g}" for value in (*targets.values[row], *predicted)]
        decided = [targets.names[int(predicted.argmax())]] if targets.kind == CLASS else []
        shares = (f"{value:.6f}" for value in predicted)
        return [f"{self.right[row]:.6g}", *decided, *shares]

    def __repr__(self) -> str:
        return f"<Study of {len(self.results['candidates'])} heads: use {self.recommended}>"

    def __str__(self) -> str:
        return self.verdict.sentence

    def _repr_html_(self) -> str:
        results, verdict = self.results, self.results["verdict"]
        rows, settings = table_rows(results), results["settings"]
        images, places = results["images"], results["backbones"]
        first = places[0]
        cut = f" to {first['cut']}" if first["cut"] else ""
        one = f"{first['backbone']}{cut} at {first['input_size']} px"
        where = one if len(places) == 1 else f"{len(places)} backbones, sizes or cuts"
        caption = (
            f"{where}: {images['used']:,} images, "
            f"{counted_names(kind_of(results), images['classes'])}, "
            f"{settings['repeats']} × {settings['folds']} folds"
        )
        names = [row["head"] for row in rows]
        cells = [(name, *shown(row, verdict)) for name, row in zip(names, rows, strict=True)]
        headings = ("head", *columns(results))
        table = html.table(headings, cells, caption, names.index(self.recommended))
        return self.verdict._repr_html_() + table
