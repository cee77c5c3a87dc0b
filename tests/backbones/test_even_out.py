"""Random kernels of a network without normalisations let a training start."""

from __future__ import annotations

import numpy as np
import pytest

from headfit.backbones.build import build, even_out
from headfit.backbones.catalog import find


@pytest.mark.parametrize("name", ["VGG16", "MobileNet"])
def test_the_map_of_random_kernels_has_values_of_about_one(name: str) -> None:
    model, contract = build(find(name), 32, "random"), find(name).contract(32)
    noise = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    images, before = contract.apply(noise), model.get_weights()
    even_out(model, images)
    if name == "MobileNet":  # its normalisations see to that
        assert all(map(np.array_equal, before, model.get_weights()))
        return
    assert np.sqrt(np.mean(np.square(model(images)))) == pytest.approx(1, rel=1e-3)
    ratios = [
        np.mean(now / then)
        for now, then in zip(model.get_weights(), before, strict=True)
        if then.ndim > 1
    ]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)
