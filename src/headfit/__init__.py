"""headfit: which head suits this pretrained backbone, measured on your own images.

import headfit as hf

index = hf.ImageIndex.from_directory("photos")
study = hf.compare(index)
print(study.verdict)
classifier = study.classifier()
classifier.predict(["new.jpg"])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headfit import board, layers, serve
    from headfit.conversion.conversion import Conversion
    from headfit.conversion.convert import convert
    from headfit.errors import (
        DataError,
        EngineError,
        HeadfitError,
        ImageError,
        ModelFileError,
        UnknownNameError,
        UsageError,
        WeightsError,
        WriteError,
    )
    from headfit.explain.drawing import plot_explanation
    from headfit.exports.export import export
    from headfit.exports.exported import Export
    from headfit.features.extractor import FeatureExtractor
    from headfit.images.index import ImageIndex
    from headfit.inspection.diagram.diagram import Diagram, diagram
    from headfit.inspection.inspect import inspect
    from headfit.inspection.inspection import Inspection
    from headfit.model.classifier import Classifier
    from headfit.progress import Callback
    from headfit.runs.compare import compare
    from headfit.runs.finetune import finetune
    from headfit.runs.learning_rates import LearningRates
    from headfit.runs.lr_find import lr_find
    from headfit.runs.rank import rank
    from headfit.runs.ranking import Ranking
    from headfit.runs.study import Study
    from headfit.study.comparison.verdict import Verdict
    from headfit.tracking.tracker import Tracker

__all__ = [
    "Callback",
    "Classifier",
    "Conversion",
    "DataError",
    "Diagram",
    "EngineError",
    "Export",
    "FeatureExtractor",
    "HeadfitError",
    "ImageError",
    "ImageIndex",
    "Inspection",
    "LearningRates",
    "ModelFileError",
    "Ranking",
    "Study",
    "Tracker",
    "UnknownNameError",
    "UsageError",
    "Verdict",
    "WeightsError",
    "WriteError",
    "__version__",
    "board",
    "compare",
    "convert",
    "diagram",
    "export",
    "finetune",
    "inspect",
    "layers",
    "lr_find",
    "plot_explanation",
    "rank",
    "serve",
]

__version__ = "0.1.0"

_ERRORS = [name for name in __all__ if name.endswith("Error")]
# the module of each name: imported on first use, so that `import headfit` and `headfit --help` are
# quick and need none of scipy, scikit-learn and Keras
_HOME = {
    "Callback": "headfit.progress",
    "Classifier": "headfit.model.classifier",
    "Conversion": "headfit.conversion.conversion",
    "Export": "headfit.exports.exported",
    "Diagram": "headfit.inspection.diagram.diagram",
    "FeatureExtractor": "headfit.features.extractor",
    "ImageIndex": "headfit.images.index",
    "Inspection": "headfit.inspection.inspection",
    "LearningRates": "headfit.runs.learning_rates",
    "Ranking": "headfit.runs.ranking",
    "Study": "headfit.runs.study",
    "Tracker": "headfit.tracking.tracker",
    "Verdict": "headfit.study.comparison.verdict",
    "board": "headfit.board",
    "compare": "headfit.runs.compare",
    "convert": "headfit.conversion.convert",
    "diagram": "headfit.inspection.diagram.diagram",
    "export": "headfit.exports.export",
    "finetune": "headfit.runs.finetune",
    "inspect": "headfit.inspection.inspect",
    "layers": "headfit.layers",
    "lr_find": "headfit.runs.lr_find",
    "plot_explanation": "headfit.explain.drawing",
    "rank": "headfit.runs.rank",
    "serve": "headfit.serve",
    **dict.fromkeys(_ERRORS, "headfit.errors"),
}

if not TYPE_CHECKING:  # a type checker sees the imports above, and no other name

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'headfit' has no attribute '{name}'")
        module = importlib.import_module(_HOME[name])
        value = module if module.__name__ == f"headfit.{name}" else getattr(module, name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
