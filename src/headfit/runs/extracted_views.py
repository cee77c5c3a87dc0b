"""The maps of all views that a fine-tuning needs, in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from headfit.backbones.engines.engine import Joint, open_joint
from headfit.features.extract import Extraction
from headfit.features.extract_views import extract_views
from headfit.features.views import ViewMaps, Views, ViewStores
from headfit.heads.chain import parse_heads
from headfit.images.index import ImageIndex
from headfit.progress import IMAGES
from headfit.runs.map_source import MapSource, require_classes


@dataclass(frozen=True)
class ExtractedViews:
    """What a pass gave.

    Attributes:
        extraction: of the images as they are, at the backbone's end.
        ends: maps of all views there.
        starts: the same at each layer where training starts.
        probes: maps of the probe images at these layers, float32 (2, H, W, C).
    """

    extraction: Extraction
    ends: ViewMaps
    starts: dict[str, ViewMaps]
    probes: dict[str, np.ndarray]

    def only(self, extraction: Extraction) -> ExtractedViews:
        """Return the part with the images of an extraction, which is a part of this one."""
        if extraction is self.extraction:
            return self
        paths = set(extraction.index.paths)
        where = np.flatnonzero([path in paths for path in self.extraction.index.paths])
        starts = {start: maps.of(where) for start, maps in self.starts.items()}
        return ExtractedViews(extraction, self.ends.of(where), starts, self.probes)


def extract_all(
    source: MapSource,
    index: ImageIndex,
    starts: Sequence[str],
    views: Views,
    require: Callable[[ImageIndex], None],
    name: str = "the backbone",
) -> ExtractedViews:
    """Get the maps of all views: at the backbone's end, and where training starts.

    Args:
        source: the backbone.
        index: the images.
        starts: layers where training starts.
        views: which views.
        require: raises if too few images are left.
        name: of the backbone, as a stage is called.

    Raises:
        UsageError: the head does not suit the maps at the backbone's end.
        DataError: no image can be read, or a class has lost all of its images.
        EngineError, WeightsError: the backbone cannot run.
        WriteError: maps cannot be stored, or do not fit on the disk.
    """
    options, callback = source.options, source.callback
    sources = [source, *(replace(source, cut=start) for start in starts)]
    stores = [ViewStores.open(each.key, views.augmentation) for each in sources]
    callback.on_stage_begin(f"Images through {name}", len(index), IMAGES)

    def opening() -> Joint:
        if len(sources) == 1:
            joint = Joint.of(source.open())
        else:
            joint = open_joint(
                source.spec,
                source.contract,
                source.weights,
                [each.cut for each in sources],
                engine=options.engine,
                tell=callback.on_message,
            )
        for head in parse_heads(options.heads or ()):
            head.pooling.check(joint.parts[0].map_shape)
        return joint

    found = extract_views(
        *(index, source.contract, stores, views, opening, callback), dtype=options.feature_dtype
    )
    extraction, ends = found[0]
    (kept,) = require_classes([extraction], options.skip_empty_classes, callback, index)
    require(kept.index)
    inner = dict(zip(starts, found[1:], strict=True))
    every = ExtractedViews(
        extraction,
        ends,
        {start: maps for start, (_, maps) in inner.items()},
        {start: each.probe for start, (each, _) in inner.items()},
    )
    return every.only(kept)
