"""headfit: which head goes on this pretrained backbone, measured on your own images.

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
    from headfit.explain.plot import plot_explanation
    from headfit.images.index import ImageIndex
    from headfit.model.classifier import Classifier
    from headfit.progress import Callback
    from headfit.runs.compare import compare
    from headfit.runs.rank import rank
    from headfit.runs.study import Study
    from headfit.study.comparison.verdict import Verdict

__all__ = [
    "Callback",
    "Classifier",
    "DataError",
    "EngineError",
    "HeadfitError",
    "ImageError",
    "ImageIndex",
    "ModelFileError",
    "Study",
    "UnknownNameError",
    "UsageError",
    "Verdict",
    "WeightsError",
    "WriteError",
    "__version__",
    "compare",
    "plot_explanation",
    "rank",
]

__version__ = "0.1.0"

_ERRORS = [name for name in __all__ if name.endswith("Error")]
_HOME = {
    "Classifier": "headfit.model.classifier",
    "ImageIndex": "headfit.images.index",
    "Study": "headfit.runs.study",
    "Verdict": "headfit.study.comparison.verdict",
    "Callback": "headfit.progress",
    "compare": "headfit.runs.compare",
    "plot_explanation": "headfit.explain.plot",
    "rank": "headfit.runs.rank",
    **dict.fromkeys(_ERRORS, "headfit.errors"),
}


def __getattr__(name: str) -> Any:
    # on first use: `import headfit` and `headfit --help` need none of scipy or scikit-learn
    if name not in _HOME:
        raise AttributeError(f"module 'headfit' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
