"""headfit's own layers, rewritten as Keras' own, give the same; what cannot be is refused."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import classifiers
from headfit.errors import UsageError
from headfit.exports.formats.keras import PlainKerasRequest
from headfit.exports.formats.keras_child import write_plain
from headfit.exports.fusion_child import fused

IMAGES = np.random.default_rng(3).integers(0, 256, (6, 32, 32, 3)).astype(np.float32)


def predicted(model: keras.Model) -> np.ndarray:
    return np.asarray(model.predict(IMAGES, verbose=0))


@pytest.mark.parametrize(
    ("chain", "rewritten"),
    [
        ("avgmax", []),
        ("flatten-8:gelu", []),
        ("gem", ["GeM"]),
        ("lse", ["LogSumExp"]),
        ("spp", ["SPP"]),
        ("spatial_prior-bn", ["SpatialShrinkage"]),
        ("attention-8", ["AttentionPooling"]),
        ("low_rank", ["LowRankReadout", "BiasedSoftmax"]),
    ],
)
def test_a_head_becomes_keras_own(chain: str, rewritten: list[str], tmp_path: Path) -> None:
    source = classifiers.random_classifier(chain, tmp_path / "model.keras")
    target = tmp_path / "plain.keras"
    answer = write_plain(PlainKerasRequest(str(source), "", False, False, str(target)))
    assert answer["rewritten"] == rewritten
    plain = keras.saving.load_model(target, compile=False, safe_mode=True)
    kinds = {type(layer).__module__.partition(".")[0] for layer in plain._flatten_layers()}
    assert kinds == {"keras"}
    before = keras.saving.load_model(source, compile=False)
    np.testing.assert_allclose(predicted(plain), predicted(before), atol=3e-6)


def test_a_head_without_a_counterpart_is_refused(tmp_path: Path) -> None:
    source = classifiers.random_classifier("simpool", tmp_path / "model.keras")
    request = PlainKerasRequest(str(source), "", False, False, str(tmp_path / "plain.keras"))
    with pytest.raises(UsageError, match="'head_pool' \\(SimPooling\\) has no exact counterpart"):
        write_plain(request)
    assert not (tmp_path / "plain.keras").exists()


@pytest.mark.parametrize("chain", ["gap", "flatten", "spp", "spatial_prior"])
def test_a_linear_head_is_one_product(chain: str) -> None:
    model = classifiers.build(chain, 3, scale=0.5)
    last = model.get_layer("head_softmax")
    rng = np.random.default_rng(0)
    last.set_weights([rng.normal(size=weight.shape) for weight in last.weights])
    made = fused(model)
    names = [layer.name for layer in made.layers if layer.name.startswith("head_")]
    assert names == ["head_flatten", "head_softmax"]
    np.testing.assert_allclose(predicted(made), predicted(model), atol=3e-6)


@pytest.mark.parametrize("chain", ["gem", "gap-8", "gmp", "attention"])
def test_other_heads_are_not_fused(chain: str) -> None:
    with pytest.raises(UsageError, match="folds heads that are linear"):
        fused(classifiers.build(chain, 3))
