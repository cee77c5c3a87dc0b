from __future__ import annotations

from dataclasses import replace

import pytest

from headfit.backbones.catalog import find
from headfit.features.store import feature_key
from headfit.images.depth import Depth

MOBILENET = find("MobileNet")
SAME = {
    "spec": MOBILENET,
    "contract": MOBILENET.contract(96),
    "weights": "random",
    "engine": "auto",
    "dtype": "float16",
}


def key(**changes) -> str:
    return feature_key(**{**SAME, **changes})


def test_the_same_gives_the_same_key():
    assert key() == key(spec=find("mobile_net"), contract=find("mobilenet").contract(96))


@pytest.mark.parametrize(
    "change",
    [
        {"spec": find("MobileNetV2")},
        {"weights": "imagenet"},
        {"engine": "keras"},
        {"engine": "openvino"},
        {"dtype": "float32"},
        {"calibration": "of some images"},
        *(
            {"contract": replace(SAME["contract"], **field)}
            for field in (
                {"height": 97},
                {"width": 97},
                {"scale": (1.0, 1.0, 2.0)},
                {"offset": (0.0, 0.0, 1e-9)},
                {"bgr": True},
                {"depth": Depth(integers=(0, 4095))},
            )
        ),
    ],
    ids=str,
)
def test_any_change_changes_the_key(change):
    assert key(**change) != key()


def test_the_key_of_ordinary_images_knows_nothing_of_depth():
    assert "depth" not in SAME["contract"].to_dict()


def test_a_weights_file_counts_by_its_content(tmp_path):
    one, copy, other = (tmp_path / name for name in ("one.h5", "copy.h5", "other.h5"))
    for path, data in ((one, b"weights"), (copy, b"weights"), (other, b"Weights")):
        path.write_bytes(data)
    assert key(weights=str(one)) == key(weights=str(copy)) != key(weights=str(other))
    before = key(weights=str(one))
    one.write_bytes(b"trained further")
    assert key(weights=str(one)) != before


def test_packaged_weights_are_told_from_others():
    lite = find("efficientnet_lite0")
    same = {"spec": lite, "contract": lite.contract()}
    assert key(**same, weights="imagenet") != key(**same)
