from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from headfit.backbones.catalog import find
from headfit.backbones.graphs.graph import cosines
from headfit.backbones.torch_file import read_state_dict
from headfit.backbones.weights import packaged_weights
from headfit.images.decode import decode
from headfit.util import child
from jobs_child import FunctionCall

REFERENCE = Path(__file__).parents[1] / "data" / "lite0_reference.npz"
SPEC = find("efficientnet_lite0")


def network_input(*photographs):
    """Photographs that scikit-image ships, as the network takes them: float32 (n, 224, 224, 3)."""
    folder = Path(find_spec("skimage").origin).parent / "data"
    return SPEC.contract().apply(
        np.stack([decode((folder / name).read_bytes(), 224, 224) for name in photographs])
    )


@pytest.fixture(scope="module")
def lite0():
    """The packaged network with its own 1000-class top, and its feature map as second output."""
    import keras  # noqa: PLC0415  (seconds, not paid by a run without the slow tests)

    from headfit.backbones import efficientnet_lite  # noqa: PLC0415  (imports Keras)

    model = efficientnet_lite.build(SPEC.name, (224, 224, 3), include_top=True)
    efficientnet_lite.assign(model, read_state_dict(packaged_weights(SPEC)))
    return keras.Model(model.input, [model.output, model.get_layer("top_relu").output])


@pytest.mark.slow
def test_parameter_counts_are_the_published_ones(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    published = {
        ("efficientnet_lite0", 224): (4_694_024, 3_413_024, [7, 7, 1280]),
        ("efficientnet_lite1", 240): (5_470_344, 4_189_344, [8, 8, 1280]),
        ("efficientnet_lite2", 260): (6_150_168, 4_869_168, [9, 9, 1280]),
    }
    models = [(*key, top) for key in published for top in (True, False)]
    found = child.call(FunctionCall("in_child:sizes", {"models": models}), backend="openvino")[
        "sizes"
    ]
    expected = []
    for with_top, without, shape in published.values():
        expected += [[with_top, [1000]], [without, shape]]
    assert found == expected


@pytest.mark.slow
def test_classifies_photographs(lite0):
    names = ("chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")
    probabilities = np.asarray(lite0.predict_on_batch(network_input(*names))[0])
    assert probabilities.shape == (4, 1000)
    assert probabilities.sum(1) == pytest.approx(1, abs=1e-5)
    cat, coffee, motorcycle, rocket = probabilities.argsort(1)[:, ::-1]
    assert cat[0] == 285  # Egyptian cat
    assert coffee[0] == 967  # espresso
    assert motorcycle[0] in (665, 670)  # moped, motor scooter
    assert {657, 744} & set(rocket[:5])  # missile, projectile


@pytest.mark.slow
def test_agrees_with_the_published_implementation(lite0):
    with np.load(REFERENCE) as reference:
        outputs = lite0.predict_on_batch(network_input(*reference["photographs"]))
        probabilities, maps = (np.asarray(output, np.float64) for output in outputs)
        kept = maps[..., :: maps.shape[-1] // reference["maps"].shape[-1]]
        assert kept.shape == reference["maps"].shape == (3, 7, 7, 320)
        assert np.abs(kept - reference["maps"]).max() < 1e-4  # of values up to 6
        assert cosines(kept, reference["maps"]).min() > 0.9999999
        logits = reference["logits"].astype(np.float64)
    published = np.exp(logits - np.log(np.exp(logits).sum(1, keepdims=True)))
    assert np.abs(probabilities - published).max() < 1e-5
    # logits to a constant, which the softmax does not keep
    ours, theirs = np.log(probabilities), np.log(published)
    assert np.abs(ours - theirs).max() < 1e-4
