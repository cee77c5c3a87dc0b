from __future__ import annotations

import itertools

import numpy as np
import pytest

from headfit.errors import UsageError
from headfit.images.augment import PRESETS, STEPS, Augmentation

IMAGE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
WAVES = np.clip(
    127.5 + 100 * np.sin(np.arange(64)[:, None, None] / 9 + np.arange(64)[:, None] / 7 + [0, 1, 2]),
    0,
    255,
).astype(np.uint8)
SYMMETRIC = "hflip,vflip,rot90"


def views(text: str, count: int, pixels: np.ndarray = IMAGE, image: str = "ab") -> list[np.ndarray]:
    augmentation = Augmentation.parse(text)
    return [augmentation.view(pixels, image, number) for number in range(count)]


def dihedral(pixels: np.ndarray) -> list[np.ndarray]:
    return [np.rot90(each, turns) for each in (pixels, pixels[:, ::-1]) for turns in range(4)]


def numbers_of(seen: list[np.ndarray], among: list[np.ndarray]) -> list[int]:
    """Say which of some images each view is."""
    return [next(n for n, each in enumerate(among) if np.array_equal(each, v)) for v in seen]


@pytest.mark.parametrize("text", [*PRESETS, *STEPS])
def test_view_0_is_the_image_and_all_views_are_images_of_its_size(text):
    plain = WAVES.copy()
    for number, view in enumerate(views(text, 1 if text == "none" else 2, WAVES)):
        assert (view.shape, view.dtype, view.flags.c_contiguous) == (WAVES.shape, np.uint8, True)
        assert np.array_equal(view, plain) == (
            number == 0 or (text == "erase" and (view == plain).all())
        )
    np.testing.assert_array_equal(WAVES, plain)


@pytest.mark.parametrize("text", ["light", "strong", SYMMETRIC])
def test_a_view_depends_on_seed_digest_and_number_alone(text):
    augmentation = Augmentation.parse(text)
    forth = [augmentation.view(IMAGE, "ab", number) for number in range(6)]
    back = [Augmentation.parse(text).view(IMAGE, "ab", number) for number in reversed(range(6))]
    np.testing.assert_array_equal(forth, back[::-1])
    for other in (
        [Augmentation.parse(text, seed=1).view(IMAGE, "ab", number) for number in range(6)],
        [augmentation.view(IMAGE, "cd", number) for number in range(6)],
    ):
        assert not np.array_equal(forth, other)


@pytest.mark.parametrize(("text", "count"), [("hflip", 2), ("hflip,vflip", 4), ("rot90", 4)])
def test_flips_and_turns_take_each_combination_once_in_every_round(text, count):
    augmentation = Augmentation.parse(text)
    assert augmentation.most_views == count
    for image in "abcdef":
        numbers = numbers_of(views(text, 3 * count, image=image), dihedral(IMAGE))
        rounds = [numbers[start : start + count] for start in range(0, 3 * count, count)]
        assert numbers[0] == 0
        assert len({frozenset(each) for each in rounds}) == 1
        assert all(len(set(each)) == count for each in rounds)


def test_eight_views_by_flips_and_turns_are_all_eight_in_an_order_of_the_image():
    orders = [numbers_of(views(SYMMETRIC, 8, image=image), dihedral(IMAGE)) for image in "abcdefgh"]
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len(set(map(tuple, orders))) > 4
    assert Augmentation.parse("hflip,rot90").most_views == 8


def test_flips_are_those_that_their_names_say():
    np.testing.assert_array_equal(views("hflip", 2)[1], IMAGE[:, ::-1])
    np.testing.assert_array_equal(views("vflip", 2)[1], IMAGE[::-1])


def test_a_quarter_turn_of_an_image_that_is_not_square_fits_its_frame():
    wide = np.repeat(np.repeat(IMAGE[:4, :4], 6, axis=0), 12, axis=1)  # 24 × 48, cells of 6 × 12
    numbers = numbers_of(
        [view[3::6, 6::12] for view in views(SYMMETRIC, 8, wide)], dihedral(IMAGE[:4, :4])
    )
    assert sorted(numbers) == list(range(8))


def test_geometry_moves_the_image_as_told_and_mirrors_it_at_its_borders():
    class Most(Augmentation):
        """Draws the largest changes."""

        def _random(self, *what):
            class Rng:
                uniform = staticmethod(lambda low, high, size=None: np.full(size or (), high))
                random = staticmethod(lambda size=None: np.full(size or (), 0.999))

            return Rng()

    def most(name: str, strength: float) -> np.ndarray:
        return Most(((name, strength),)).view(WAVES, "ab", 1).astype(int)

    shifted = most("shift", 0.25)
    np.testing.assert_array_equal(shifted[:48, :48], WAVES[16:, 16:])
    np.testing.assert_array_equal(shifted[48:, :48], WAVES[:47:-1, 16:])
    # Pillow cuts off the fraction of an interpolated value
    assert np.abs(most("rotate", 180) - WAVES[::-1, ::-1]).max() <= 1
    quarter = most("rotate", 90)
    assert min(np.abs(np.rot90(WAVES.astype(int), k) - quarter).max() for k in (1, 3)) <= 1
    larger = most("zoom", 1.0)[16:48, 16:48]  # all of the image at half its size
    assert np.abs(larger - WAVES.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))).max() <= 1


def test_colours_change_as_told_and_grey_stays_grey():
    for number in range(1, 9):
        dim = WAVES // 4 + 32  # nothing that becomes black or white
        view = Augmentation.parse("brightness0.5").view(dim, "ab", number)
        factor = view.mean() / dim.mean()
        assert 0.49 <= factor <= 1.51
        assert np.abs(view - dim * factor).max() < 1
        grey = np.repeat(WAVES[..., :1], 3, axis=2)
        colour = Augmentation.parse("colour0.5").view(grey, "ab", number).astype(int)
        assert np.ptp(colour, axis=2).max() <= 1
        contrast = Augmentation.parse("contrast0.5").view(grey, "ab", number)
        assert abs(contrast.mean() - grey.mean()) < 5


def test_erasing_fills_a_rectangle_with_the_mean_colour_in_about_half_of_the_views():
    mean = np.rint(WAVES[::4, ::4].mean(axis=(0, 1)))
    shares = []
    for number in range(1, 101):
        changed = (Augmentation.parse("erase0.3").view(WAVES, "ab", number) != WAVES).any(axis=2)
        if changed.any():
            rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
            view = Augmentation.parse("erase0.3").view(WAVES, "ab", number)
            box = view[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            assert (box == mean).all()
            shares.append(box.shape[0] * box.shape[1] / 64**2)
    assert 35 <= len(shares) <= 65  # 3 standard errors of 50 in 100
    assert max(shares) <= 0.33 and np.std(shares) > 0.03


def test_views_of_an_image_differ():
    for a, b in itertools.combinations(views("light", 6), 2):
        assert not np.array_equal(a, b)
    assert Augmentation.parse("light").most_views is None
    assert Augmentation.parse("none").most_views == 1


def test_the_steps_that_can_change_the_label_are_known():
    augmentation = Augmentation.parse("light,rot90")
    assert augmentation.flips == ("hflip", "rot90")
    assert augmentation.without("hflip").flips == ("rot90",)
    assert Augmentation.parse("strong").without("hflip").flips == ()


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("none", "none"),
        ("Rotate, hflip", "hflip,rotate10"),
        ("colour0.3", "brightness0.3,contrast0.3,saturation0.3"),
        ("color", "brightness0.2,contrast0.2,saturation0.2"),
        ("light,rotate.5", "hflip,rotate0.5,shift0.05,zoom0.1,brightness0.1,contrast0.1"),
        ("rot90,rotate90", "rot90,rotate90"),
    ],
)
def test_text_is_read_and_written(text, canonical):
    augmentation = Augmentation.parse(text)
    assert str(augmentation) == canonical
    assert Augmentation.parse(canonical) == augmentation
    assert Augmentation.parse(canonical).identity == augmentation.identity


def test_everything_that_changes_views_is_in_the_identity():
    texts = [*PRESETS, *STEPS, "rotate11", "hflip,vflip"]
    identities = [repr(Augmentation.parse(text).identity) for text in texts]
    assert len(set(identities)) == len(texts)
    assert Augmentation.parse("hflip", 1).identity != Augmentation.parse("hflip").identity


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hflop", r"Unknown augmentation 'hflop'\. Did you mean 'hflip'\? Valid: .*rotate"),
        ("hflip,lite", "Unknown augmentation 'lite'"),
        ("rotate400", r"`augment` must be rotate with a number from 0.1 to 180, such as rotate10"),
        ("crop1", r"crop with a number from 0.05 to 0.95, .*Received: augment='crop1'"),
        ("erase0.6", r"erase with a number from 0.01 to 0.5"),
        ("hflip0.5", r"hflip without a number.*Received: augment='hflip0.5'"),
        ("hflip,hflip", "a list that names each step once"),
        ("colour,contrast", "names each step once"),
        ("hflip,", "Unknown augmentation ''"),
        ("", r"`augment` must be none, light, strong, or a comma-separated list"),
        ("rotate-5", "Unknown augmentation 'rotate-5'. Did you mean 'rotate'"),
    ],
)
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(UsageError, match=message):
        Augmentation.parse(text)


def test_a_seed_below_zero_is_refused():
    with pytest.raises(UsageError, match="`seed` must be an integer of at least 0"):
        Augmentation.parse("light", seed=-1)
