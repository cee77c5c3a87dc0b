"""A frozen backbone as a scikit-learn transformer."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

import headfit.heads.layers  # noqa: F401  (registers the poolings)
from headfit.backbones.catalog import find
from headfit.backbones.engines.engine import ENGINES, Joint, open_engine
from headfit.backbones.weights import IMAGENET, check_weights
from headfit.errors import ImageError, UsageError
from headfit.features.extract import InAll, run_pass
from headfit.features.reader import Reader
from headfit.features.store import FeatureMaps, FeatureStore, feature_key
from headfit.heads.pooling import MapShape, find_pooling
from headfit.images.decode import read_bytes
from headfit.images.depth import Depth
from headfit.images.first_look import look
from headfit.images.index import ImageIndex
from headfit.util.cache import FEATURES

POOLINGS = ("gap", "flatten", "gmp", "avgmax")
DTYPE = "float16"  # as `compare` stores maps, so that both share a store

_log = logging.getLogger("headfit")


class FeatureExtractor(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Turns images into the features of a frozen, pretrained backbone.

    A scikit-learn transformer without trainable state: ``fit`` learns only the shape of the feature
    maps. The maps are kept in the feature store that :func:`headfit.compare` uses, so an image goes
    through the backbone once: a second call, and each fold of a cross-validation, costs no pass.

    Args:
        backbone: name of a backbone, or a model of your own, as for :func:`headfit.compare`.
        weights: ``"imagenet"``, ``"random"`` or the path of a weights file.
        size: side of the input in pixels; the backbone's own if None. Images are resized to it.
        cut: the layer that the backbone ends at; its own end if None.
        pooling: what turns a map (H, W, C) into features: ``"gap"`` the mean of each channel,
            ``"gmp"`` its maximum, ``"avgmax"`` both, ``"flatten"`` every number; None leaves the
            maps as they are.
        engine: ``"auto"``, ``"openvino"`` or ``"keras"``.
        precision: ``"float32"``.
        preprocessing: of a model of your own, as for :func:`headfit.compare`.

    Attributes:
        map_shape_: height, width and channels of the feature maps.
        depth_: black and white in images of more than 8 bits, from the images that it was fitted
            on; without a fit, from those to transform.

    Example:

    ```python
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline

    paths = sorted(Path("photos").glob("*/*.jpg"))
    labels = [path.parent.name for path in paths]
    model = make_pipeline(hf.FeatureExtractor(), LogisticRegression(max_iter=1000))
    cross_val_score(model, paths, labels, cv=5)
    ```
    """

    def __init__(
        self,
        backbone: Any = "efficientnet_lite0",
        *,
        weights: str = IMAGENET,
        size: int | None = None,
        cut: str | None = None,
        pooling: str | None = "gap",
        engine: str = "auto",
        precision: str = "float32",
        preprocessing: str | None = None,
    ) -> None:
        self.backbone = backbone
        self.weights = weights
        self.size = size
        self.cut = cut
        self.pooling = pooling
        self.engine = engine
        self.precision = precision
        self.preprocessing = preprocessing

    def fit(self, X: Any, y: Any = None) -> FeatureExtractor:
        """Learn the shape of the feature maps, and the depth of images of more than 8 bits.

        Args:
            X: images, as for :meth:`transform`.
            y: ignored.

        Raises:
            As :meth:`transform`.
        """
        names, read = _images(X)
        self.depth_: Depth = _depth(names, read)
        self.map_shape_: MapShape = self._maps(names[:1], read).shape[1:]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Compute the features of images.

        Args:
            X: n images: paths of image files; or RGB pixels from 0 to 255, uint8 (n, height, width,
                3); or an :class:`headfit.ImageIndex`. Images of any size are resized.

        Returns:
            float32 (n, d); (n, H, W, C) if ``pooling`` is None.

        Raises:
            ImageError: an image cannot be read; names it.
            UsageError: a parameter or ``X`` is not valid.
            WeightsError, EngineError: the backbone cannot run.
            WriteError: the feature store cannot be written.
        """
        maps = self._maps(*_images(X))
        pool = _flat if self.pooling is None else find_pooling(self.pooling).pool
        return np.concatenate([pool(part) for _, part in maps.chunks()])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return a name for each feature: ``gap0``, ``gap1``, ….

        Args:
            input_features: ignored.
        """
        check_is_fitted(self, "map_shape_")
        if self.pooling is None:
            raise UsageError("Feature maps have no names: set `pooling` to have features.")
        width = find_pooling(self.pooling).width(self.map_shape_)
        return np.array([f"{self.pooling}{number}" for number in range(width)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        tags.requires_fit = False
        return tags

    def _maps(self, names: Sequence[str], read: Callable[[int], bytes]) -> FeatureMaps:
        """Bring the maps of images into the store, and return them."""
        self._check()
        spec = find(self.backbone, self.preprocessing)
        weights = check_weights(self.weights, spec)
        depth = self.depth_ if hasattr(self, "depth_") else _depth(names, read)
        contract, cut = spec.contract(self.size).with_depth(depth), self.cut or ""
        key = feature_key(spec, contract, weights, engine=self.engine, dtype=DTYPE, cut=cut)
        store = FeatureStore(FEATURES.path(key))

        def open_joint() -> Joint:
            engine = self.engine
            return Joint.of(
                open_engine(spec, contract, weights, engine=engine, tell=_log.info, cut=cut)
            )

        reader = Reader(names, read, contract, InAll([store]))
        run_pass(reader, contract, [store], open_joint, DTYPE)
        for image in reader.skipped:
            raise ImageError(f"'{image.path}' cannot be read: {image.reason}.")
        return store.maps([reader.digests[row] for row in range(len(names))])

    def _check(self) -> None:
        for name, value, valid in (
            ("pooling", self.pooling, (*POOLINGS, None)),
            ("engine", self.engine, ENGINES),
            ("precision", self.precision, ("float32",)),
        ):
            if value not in valid:
                listed = ", ".join(map(repr, valid))
                raise UsageError.invalid(
                    name, value, f"one of {listed}" if len(valid) > 1 else listed
                )


def _depth(names: Sequence[str], read: Callable[[int], bytes]) -> Depth:
    return look(names, lambda row: io.BytesIO(read(row))).depth


def _flat(maps: np.ndarray) -> np.ndarray:
    return maps


def _images(X: Any) -> tuple[Sequence[str], Callable[[int], bytes]]:
    """Return the names of images, and what gives the file of one by its row.

    Raises:
        UsageError: these are no images.
    """
    if isinstance(X, ImageIndex):
        return X.paths, X.read_bytes
    if isinstance(X, np.ndarray) and X.ndim == 4:
        return _arrays(X)
    if isinstance(X, str | os.PathLike) or not hasattr(X, "__len__"):
        raise UsageError.invalid("X", X, "a list of image files or an array of images")
    # a column of a table comes as (n, 1)
    paths = np.ravel(X).tolist() if hasattr(X, "shape") else list(X)
    for row, path in enumerate(paths):
        if not isinstance(path, str | os.PathLike):
            raise UsageError(
                f"`X` must hold paths of image files, or be uint8 of shape (n, height, width, 3). "
                f"Received: X[{row}] of type {type(path).__name__}."
            )
    if not paths:
        raise UsageError("`X` is empty. Give at least one image.")
    return [os.fspath(path) for path in paths], lambda row: read_bytes(paths[row])


def _arrays(images: np.ndarray) -> tuple[Sequence[str], Callable[[int], bytes]]:
    if images.dtype != np.uint8 or images.shape[-1] != 3 or not images.size:
        raise UsageError(
            f"`X` must be uint8 of shape (n, height, width, 3), RGB from 0 to 255. Received: "
            f"{images.dtype} of shape {images.shape}."
        )

    def read(row: int) -> bytes:
        # as a file, so that it goes the way of all images: resized, digested, stored
        stream = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(images[row])).save(stream, "BMP")
        return stream.getvalue()

    return [f"X[{row}]" for row in range(len(images))], read
