"""The diagram: its numbers, its scale, its text; and that it is sound XML, the same every time."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagram_parts import SVG, boxes, filled, some_tiles
from headfit.backbones import catalog
from headfit.errors import UsageError
from headfit.features.store import FeatureStore, feature_key
from headfit.heads.chain import parse_head
from headfit.inspection.diagram.counts import MAX_CHANNELS, MAX_CLASSES, MAX_SIDE, count
from headfit.inspection.diagram.diagram import diagram
from headfit.inspection.diagram.drawing import draw
from headfit.inspection.diagram.palette import DARK, LIGHT, Palette, heat
from headfit.inspection.diagram.panels import scale_of
from headfit.inspection.diagram.photo import choose
from headfit.inspection.diagram.shape import backbone_map_shape
from headfit.inspection.diagram.svg import text_width, wrap
from headfit.util.cache import FEATURES

CASES = [
    ((7, 7, 512), 1000),  # VGG16 at 224 px
    ((7, 7, 1024), 3),  # MobileNet at 224 px
    ((220, 220, 30), 2),
    ((1, 1, 2048), 10),
    ((7, 7, 1280), 100),
    ((2, 1000, 3), 5),
    ((8, 8, 1), 2),
    ((11, 11, 4032), 10),  # NASNetLarge at 331 px
    ((MAX_SIDE, MAX_SIDE, MAX_CHANNELS), MAX_CLASSES),
]
shapes = st.tuples(st.integers(1, MAX_SIDE), st.integers(1, MAX_SIDE), st.integers(1, MAX_CHANNELS))


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg)


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def assert_no_overlap(root: ET.Element) -> None:
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    found = boxes(root)
    for left, top, right, bottom, text in found:
        assert left >= 0 and top >= 0 and right <= width and bottom <= height, text
    for one, two in itertools.combinations(found, 2):
        beside = one[2] <= two[0] or two[2] <= one[0]
        below = one[3] <= two[1] or two[3] <= one[1]
        assert beside or below, f"{one[4]!r} overlaps {two[4]!r}"
    for one, shape in itertools.product(found, drawn(root)):
        beside = one[2] <= shape[0] or shape[2] <= one[0]
        below = one[3] <= shape[1] or shape[3] <= one[1]
        assert beside or below, f"{one[4]!r} lies on what is drawn at {shape}"


def drawn(root: ET.Element) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of the slices, vectors, squares and pictures."""
    fills = {LIGHT.map, LIGHT.flatten, LIGHT.gap}
    rects = [r.attrib for r in root.iter(f"{SVG}rect") if r.get("fill") in fills]
    found = []
    for shape in [*rects, *(i.attrib for i in root.iter(f"{SVG}image"))]:
        x, y, width, height = (float(shape[name]) for name in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height))
    for ring in (c.attrib for c in root.iter(f"{SVG}circle") if c.get("fill") == "none"):
        x, y, r = (float(ring[name]) for name in ("cx", "cy", "r"))
        found.append((x - r, y - r, x + r, y + r))
    return found


@pytest.mark.parametrize(("shape", "classes"), CASES)
@pytest.mark.parametrize("photo", [False, True])
def test_no_text_overlaps_another_or_leaves_the_picture(
    shape: tuple[int, int, int], classes: int, photo: bool
) -> None:
    tiles = some_tiles("a very long name of a photograph " * 6 + ".jpg") if photo else None
    assert_no_overlap(parse(draw(count(shape, classes), "InceptionResNetV2 at 2048 px", tiles)))


@settings(max_examples=60, deadline=None)
@given(shape=shapes, classes=st.integers(2, MAX_CLASSES), subject=st.text(max_size=80))
def test_any_map_and_any_subject_give_sound_xml_without_overlap(
    shape: tuple[int, int, int], classes: int, subject: str
) -> None:
    assert_no_overlap(parse(draw(count(shape, classes), subject)))


@pytest.mark.parametrize(("shape", "classes"), CASES)
def test_numbers_are_those_of_the_heads(shape: tuple[int, int, int], classes: int) -> None:
    counts = count(shape, classes)
    said = " ".join(texts(parse(draw(counts))))
    for name, side in (("flatten", counts.flatten), ("gap", counts.gap)):
        assert side.parameters == parse_head(name).parameters(shape, classes)
        assert side.parameters == side.features * classes + classes
        assert f"{side.parameters:,} parameters" in said
        assert f"= {side.features:,} × {classes:,} weights + {classes:,} biases" in said


@pytest.mark.parametrize(("shape", "classes"), CASES)
def test_areas_are_proportional_to_parameters(shape: tuple[int, int, int], classes: int) -> None:
    counts = count(shape, classes)
    root = parse(draw(counts))
    squares = [filled(root, colour)[-1] for colour in (LIGHT.flatten, LIGHT.gap)]
    areas = [square["width"] * square["height"] for square in squares]
    assert areas[0] / areas[1] == pytest.approx(counts.ratio, rel=1e-4)


@pytest.mark.parametrize(("shape", "classes"), CASES)
def test_vectors_are_to_scale_or_visibly_cut(shape: tuple[int, int, int], classes: int) -> None:
    counts = count(shape, classes)
    root = parse(draw(counts))
    flatten = [r["width"] for r in filled(root, LIGHT.flatten)[:-1]]
    gap = filled(root, LIGHT.gap)[0]["width"]
    cut = scale_of(counts).cut
    assert cut == (counts.positions > 103)
    assert len(flatten) == (2 if cut else 1)
    said = [text for text in texts(root) if "Cut:" in text]
    assert bool(said) == cut
    if not cut:
        assert flatten[0] / gap == pytest.approx(counts.positions, rel=1e-4)


def test_markup_in_names_stays_text() -> None:
    evil = "<script>alert('x')</script> & \"]]>"
    svg = draw(
        count((7, 7, 512), 3), evil, some_tiles(f"{evil.replace('/', '')}\x00\x1b\udc80.jpg")
    )
    root = parse(svg)
    assert {element.tag for element in root.iter()} <= {
        SVG + tag for tag in ("svg", "title", "desc", "rect", "path", "circle", "text", "image")
    }
    title = root.find(f"{SVG}title")
    assert title is not None and evil in (title.text or "")
    svg.encode("utf-8")


def test_a_screen_reader_finds_the_picture_and_its_numbers() -> None:
    root = parse(draw(count((7, 7, 512), 1000), "VGG16 at 224 px"))
    assert root.attrib["role"] == "img"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and description is not None
    assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], description.attrib["id"]]
    assert title.text == "VGG16 at 224 px, 1,000 classes"
    assert "25,089,000 parameters" in (description.text or "")
    assert "513,000 parameters" in (description.text or "")


def test_nothing_is_loaded_from_elsewhere() -> None:
    svg = draw(count((7, 7, 512), 3), "", some_tiles())
    assert svg.replace("http://www.w3.org/2000/svg", "").count("http") == 0
    references = [e.attrib["href"] for e in parse(svg).iter() if "href" in e.attrib]
    assert [ref.partition(",")[0] for ref in references] == ["data:image/png;base64"]


def test_the_same_numbers_give_the_same_bytes() -> None:
    once, again = (draw(count((7, 7, 512), 3), "A", some_tiles()) for _ in range(2))
    assert once == again
    assert once != draw(count((7, 7, 512), 3), "A", some_tiles(), dark=True)


def test_the_example_in_the_documents_is_what_is_drawn_today() -> None:
    example = Path(__file__).parents[2] / "docs" / "diagram.svg"
    assert example.read_text("utf-8") == draw(count((7, 7, 512), 1000), "VGG16 at 224 px")


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_text_stands_out_from_its_ground(palette: Palette) -> None:
    for ground in (palette.paper, palette.panel):
        assert contrast(palette.text, ground) > 7
        assert contrast(palette.soft, ground) > 4.5
        for tint in (palette.flatten, palette.gap, palette.line):
            assert contrast(tint, ground) > 3


def contrast(one: str, two: str) -> float:
    """The contrast ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)


def test_heat_grows_brighter_with_the_value() -> None:
    ratios = [contrast(heat(value), "#000000") for value in np.linspace(0, 1, 32)]
    assert ratios == sorted(ratios)
    assert (heat(0), heat(1)) == ("#440154", "#fde725")


def test_the_channels_shown_are_those_of_highest_mean() -> None:
    maps = np.zeros((4, 6, 9), np.float32)
    maps[..., 7], maps[..., 2], maps[0, 0, 5] = 3, 2, 24  # means 3, 2 and 1
    tiles = choose(Path("a.png"), np.zeros((8, 8, 3), np.uint8), "random", maps)
    assert tiles.channels == (7, 2, 5, 0, 1)
    assert tiles.means == pytest.approx((3, 2, 1, 0, 0))
    assert tiles.maps.shape == (5, 4, 6)
    assert tiles.map_shape == (4, 6, 9)


@pytest.mark.parametrize(
    ("shape", "classes", "word"),
    [
        ((0, 7, 8), 2, "1 to 4,096 positions a side"),
        ((7, MAX_SIDE + 1, 8), 2, "map_shape"),
        ((7, 7, 0), 2, "channels"),
        ((7, 7, MAX_CHANNELS + 1), 2, "channels"),
        ((7, 7, 8), 1, "classes=1"),
        ((7, 7, 8), MAX_CLASSES + 1, "classes=1000001"),
    ],
)
def test_impossible_numbers_are_refused(
    shape: tuple[int, int, int], classes: int, word: str
) -> None:
    with pytest.raises(UsageError, match=word):
        count(shape, classes)


def test_text_is_wrapped_within_its_width_and_nothing_is_lost() -> None:
    text = "a " * 30 + "W" * 90 + " end"
    lines = wrap(text, 100, 10)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert max(text_width(line, 10) for line in lines) <= 100


def test_the_shape_comes_from_the_feature_store_where_a_run_noted_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path))
    spec = catalog.find("MobileNet")
    contract = spec.contract(64)
    key = feature_key(spec, contract, "random", engine="auto", dtype="float16")
    store = FeatureStore(FEATURES.path(key))
    store.write_facts({"map_shape": [2, 2, 1024]}, np.zeros((2, 2, 2, 1024), np.float32))
    said: list[str] = []
    assert backbone_map_shape(spec, contract, said.append) == (2, 2, 1024)
    assert said == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [("VGG16", 224, (7, 7, 512)), ("MobileNet", 96, (3, 3, 1024)), ("ResNet50", 65, (3, 3, 2048))],
)
def test_the_shape_of_a_backbone_is_read_from_the_network(
    name: str,
    size: int,
    shape: tuple[int, int, int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HEADFIT_HOME", str(tmp_path))
    spec = catalog.find(name)
    said: list[str] = []
    assert backbone_map_shape(spec, spec.contract(size), said.append) == shape
    assert len(said) == 1


def test_the_function_gives_the_numbers_and_a_drawing_for_notebooks(tmp_path: Path) -> None:
    drawn = diagram(map_shape=(7, 7, 1280), classes=3)
    assert (drawn.backbone, drawn.input_size, drawn.path) == (None, None, None)
    assert drawn.counts.flatten.parameters == 188_163
    assert drawn._repr_svg_() == draw(drawn.counts)
    saved = drawn.save(tmp_path / "a.svg")
    assert saved.path == tmp_path / "a.svg"
    assert saved.path.read_text("utf-8") == drawn.svg
    assert saved.to_dict()["file"] == str(saved.path)
    assert diagram(map_shape=(7, 7, 1280), classes=3, out=tmp_path / "b.svg").svg == drawn.svg


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weights": "random"}, "`weights` must be given only together with `image`"),
        ({"map_shape": (7, 7, 8), "backbone": "VGG16"}, "`backbone` must be left out"),
        ({"map_shape": (7, 7, 8), "out": "a.pdf"}, "`out` must be a file that ends in"),
    ],
)
def test_arguments_that_do_not_fit_together_are_named(
    arguments: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(words)):
        diagram(**arguments)
