from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.fft import dctn
from skimage import data

from headfit.images.phash import perceptual_hash

PHOTOS = {name: getattr(data, name)() for name in ("chelsea", "coffee", "astronaut")}


def at(size: int, name: str = "chelsea") -> np.ndarray:
    return np.array(Image.fromarray(PHOTOS[name]).resize((size, size), Image.Resampling.BILINEAR))


def apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def by_the_book(pixels: np.ndarray) -> int:
    """The hash by its definition: scipy's transform of all pixels, the grey of ITU-R 601."""
    low = dctn(pixels @ [0.299, 0.587, 0.114])[:8, :8]
    bits = (low > np.median(low)).ravel()
    return int("".join(str(int(bit)) for bit in bits), 2)


@pytest.mark.parametrize("name", PHOTOS)
def test_the_hash_of_a_small_picture_is_that_of_its_definition(name):
    for size in (9, 32, 50, 63):
        assert perceptual_hash(at(size, name)) == by_the_book(at(size, name))


@pytest.mark.parametrize("size", [64, 96, 224, 240, 299])
@pytest.mark.parametrize("name", PHOTOS)
def test_rows_that_are_added_up_first_change_next_to_nothing(name, size):
    assert apart(perceptual_hash(at(size, name)), by_the_book(at(size, name))) <= 2


@pytest.mark.parametrize("shape", [(64, 224), (224, 32)])
def test_height_and_width_may_differ(shape):
    pixels = np.array(Image.fromarray(PHOTOS["coffee"]).resize(shape[::-1]))
    assert apart(perceptual_hash(pixels), perceptual_hash(at(224, "coffee"))) <= 4


@pytest.mark.parametrize("size", [17, 28, 33, 100, 299, 331])
def test_any_size_of_a_picture_has_nearly_the_same_hash(size):
    assert apart(perceptual_hash(at(size)), perceptual_hash(at(224))) <= 4


def test_pictures_of_other_things_are_far_apart():
    hashes = [perceptual_hash(at(224, name)) for name in PHOTOS]
    assert min(apart(hashes[i], hashes[j]) for i, j in ((0, 1), (0, 2), (1, 2))) > 20


@pytest.mark.parametrize("grey", [0, 1, 90, 255])
def test_rounding_does_not_decide_the_bits_of_a_plain_picture(grey):
    for size in (28, 64, 90, 224):
        plain = perceptual_hash(np.full((size, size, 3), grey, np.uint8))
        assert plain == (0 if grey == 0 else 1 << 63)


def test_turning_a_picture_on_its_side_changes_the_hash():
    assert apart(perceptual_hash(at(224)), perceptual_hash(np.rot90(at(224)).copy())) > 20
