"""Where a run has its feature maps from: the store, or the backbone in float32 or int8."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from headfit import files
from headfit.backbones import int8
from headfit.backbones.catalog import BackboneSpec
from headfit.backbones.engine import INT8, Engine, open_engine
from headfit.errors import DataError
from headfit.features.extract import Extraction, extract
from headfit.features.key import feature_key
from headfit.features.store import FeatureStore
from headfit.images.contract import Contract
from headfit.images.index import TEST, ImageIndex
from headfit.options import Options
from headfit.watcher import Watcher


@dataclass(frozen=True)
class MapSource:
    """A backbone with all that decides its maps.

    Attributes:
        spec: the backbone.
        contract: its preprocessing.
        weights: ``"imagenet"``, ``"random"`` or a path.
        options: engine, and how maps are stored.
        watcher: is told the progress.
        calibration: the images that int8 takes its ranges from; None for float32.
    """

    spec: BackboneSpec
    contract: Contract
    weights: str
    options: Options
    watcher: Watcher
    calibration: int8.Calibration | None = None

    @property
    def key(self) -> str:
        """Digest all but the image that decides a map."""
        return feature_key(
            self.spec,
            self.contract,
            self.weights,
            engine=self.options.engine,
            dtype=self.options.feature_dtype,
            calibration=self.calibration.digest if self.calibration else "",
        )

    def maps(
        self,
        index: ImageIndex,
        opened: Callable[[Engine, FeatureStore], None] = lambda engine, store: None,
    ) -> Extraction:
        """Get the maps of all images.

        Args:
            index: the images.
            opened: called when the engine is opened, with it and the store.

        Raises:
            DataError: if no image can be read.
            EngineError, WeightsError: if the backbone cannot run.
            WriteError: if the store cannot be written.
        """
        dtype, tell = self.options.feature_dtype, self.watcher.tell
        store = FeatureStore(files.home() / "features" / self.key)
        if store.damaged:
            tell(f"{len(store.damaged)} damaged blocks in the feature store are computed anew.")

        def opening() -> Engine:
            engine = self.open()
            opened(engine, store)
            return engine

        return extract(
            index,
            self.contract,
            store,
            opening,
            lambda done, _, skipped: self.watcher.advance(
                done, f"{skipped} skipped" if skipped else ""
            ),
            dtype=dtype,
        )

    def open(self) -> Engine:
        """Open the engine.

        Raises:
            EngineError, WeightsError: if the backbone cannot run.
        """
        return open_engine(
            self.spec,
            self.contract,
            self.weights,
            engine=self.options.engine,
            calibration=self.calibration,
            tell=self.watcher.tell,
        )

    def float32(self, index: ImageIndex, digests: list[str]) -> Extraction:
        """Get the maps of all images in float32.

        Args:
            index: images that could be read before.
            digests: of their contents then.

        Raises:
            DataError: if one of them has changed since.
        """
        found = replace(self, calibration=None).maps(index)
        if list(found.digests) != digests:
            raise DataError(f"Images in '{index.root}' have changed during the run; run again.")
        return found


def calibration(index: ImageIndex, options: Options) -> int8.Calibration | None:
    """Choose the images that int8 takes its ranges from, never those to test on; None if float32.

    Raises:
        DataError: if none can be read.
    """
    if options.precision != INT8:
        return None
    return int8.calibration(
        [index.path(i) for i, split in enumerate(index.splits) if split != TEST]
    )
