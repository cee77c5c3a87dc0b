"""What the documents tell people to run, and a small world in which it runs."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas

from headfit.backbones import catalog
from photos import write_photo

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CLASSES = ("five", "three", "two")
SIDES = ("64", "96")  # of several sizes two
PYRAMID = ("128",)  # spp needs a map of 4×4
WIDE = re.compile(r"(?<=-)\d{3,}\b")
# they take the place of networks with more layers, whose graphs take longer to build
LIGHT = ("MobileNet", "MobileNetV3Small")
QUICK = ["--protocol", "quick", "--no-curve"]


@dataclass(frozen=True)
class Snippet:
    """A piece of a document that can be run.

    Attributes:
        page: path of the document below the root.
        line: where it begins.
        text: a command, or a block of Python.
    """

    page: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> list[Snippet]:
    """List the code blocks of all documents in one language."""
    snippets = []
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in re.finditer(rf"```{language}\n(.*?)```", text, re.DOTALL):
            line = text.count("\n", 0, match.start()) + 2
            snippets.append(Snippet(str(page.relative_to(ROOT)), line, match[1]))
    return snippets


def commands() -> list[Snippet]:
    """List every ``headfit …`` line of the documents, continued lines joined."""
    snippets = []
    for block in blocks("bash"):
        joined = block.text.replace("\\\n", " " * 2)
        for number, line in enumerate(joined.splitlines()):
            # an install command may stand before it, and a variable
            command = line.split("&& ")[-1]
            if command.startswith("headfit "):
                snippets.append(Snippet(block.page, block.line + number, command))
    return snippets


def small(command: str) -> list[str]:
    """Give the words of a command, changed so that it takes seconds and no download.

    The options that people see stay; smaller inputs, layers of 16 units, the quick protocol, random
    weights in place of downloaded ones and, where the command leaves it open, two heads take the
    place of the rest.
    """
    words = shlex.split(command, comments=True)[1:]
    if ">" in words:
        words = words[: words.index(">")]
    name = words[0]
    if name == "demo":
        words += [] if "--data" in words else ["--data", "where"]
    if name in ("compare", "demo"):
        words = _without(words, "--protocol", "--repeats", "--folds") + QUICK
        # the first of each page's commands measure position, those with options need not
        words += [] if len(words) < 6 or "--no-where" in words else ["--no-where"]
        heads = WIDE.sub("16", _value(words, "--heads") or "gap,flatten")
        words = [*_without(words, "--heads"), "--heads", heads]
        words = [word.removesuffix(",vgg") for word in words]  # 200 million weights
        words += [] if "--out" in words else ["--out", "another-run"]  # others read headfit-run
    if name == "export" and "--max-drop" in words:  # of a few images one is a large share
        words = [*_without(words, "--max-drop"), "--max-drop", "1"]
    if name in ("finetune", "lr-find"):
        words = _small_training(words)
    if name == "explain":
        words = ["few/" if word == "photos/" else word for word in words]
    if name in ("compare", "rank", "demo"):
        names = _value(words, "--backbone").split(",")
        downloaded = any(map(_is_downloaded, names))
        if downloaded and "--cut" not in words:
            spare = iter(LIGHT)
            names = [next(spare) if _is_downloaded(name) else name for name in names]
            words = [*_without(words, "--backbone"), "--backbone", ",".join(names)]
        sizes = len(_value(words, "--size").split(","))
        sides = PYRAMID if "spp" in _value(words, "--heads").split(",") else SIDES[:sizes]
        words = [*_without(words, "--size"), "--size", ",".join(sides)]
        if downloaded:
            # a model of one's own brings its weights, also beside others
            weights = ["random" if _is_downloaded(name) else "imagenet" for name in names]
            words = [*_without(words, "--weights"), "--weights", ",".join(weights)]
    return words


def _small_training(words: list[str]) -> list[str]:
    """A small model of one's own, and few steps; a run decides its backbone itself."""
    words = [*_without(words, "--views", "--folds"), "--views", "2", "--folds", "3"]
    if "headfit-run" not in words:
        own = ["--backbone", "my-model.keras", "--engine", "keras"]
        words = [*_without(words, "--backbone", "--size"), *own]
    count = ["--epochs", "1"] if words[0] == "finetune" else ["--steps", "10"]
    return [*_without(words, count[0]), *count]


def _value(words: list[str], option: str) -> str:
    return words[words.index(option) + 1] if option in words else ""


def _without(words: list[str], *options: str) -> list[str]:
    for option in options:
        if option in words:
            at = words.index(option)
            words = words[:at] + words[at + 2 :]
    return words


def _is_downloaded(backbone: str) -> bool:
    spellings = {name.lower().replace("_", "") for name in catalog.names()}
    name = backbone.lower().replace("_", "")
    return name in spellings and not name.startswith("efficientnetlite")


def write_world(folder: Path) -> None:
    """Write every file that the documents speak of, small."""
    rng = np.random.default_rng(0)
    rows = ["path,group"]
    for kind, name in enumerate(CLASSES):
        for number in range(10):
            path = Path(name) / f"patient{number // 2}{kind}_{number}.jpg"
            write_photo(folder / "photos" / path, kind, rng)
            rows.append(f"{path.as_posix()},{kind}-{number // 2}")
    (folder / "groups.csv").write_text("\n".join(rows) + "\n", "utf-8")
    others = ("new.jpg", "photo.jpg", "new/1.jpg", "new/2.jpg", "more/a/1.png")
    for number, path in enumerate(others):
        write_photo(folder / path, number % 3, rng)
    shutil.copytree(folder / "photos", folder / "moved" / "photos")
    ((head, *_),) = [[b.text] for b in blocks("python") if "def corners_and_mean" in b.text]
    (folder / "my_heads.py").write_text(head, "utf-8")
    (folder / "models.py").write_text(MODELS, "utf-8")
    listed = [row.replace("path,group", "path,label,patient") for row in rows[:1]]
    listed += [
        f"photos/{row.split(',')[0]},{row.split('/')[0]},{row.split(',')[1]}" for row in rows[1:]
    ]
    (folder / "images.csv").write_text("\n".join(listed) + "\n", "utf-8")
    (folder / "board.toml").write_text(BOARD, "utf-8")
    _write_sources(folder, [line.split(",") for line in listed[1:]])
    _write_targets(folder, [line.split(",")[0] for line in listed[1:]])
    for name in ("my-model.keras", "gap-model.keras", "trained.keras", "old-model.h5"):
        _model(keras.layers.GlobalAveragePooling2D()).save(folder / name)
    for name in ("flatten-model.keras", "flatten-model.h5"):
        _model(keras.layers.Flatten()).save(folder / name)
    maps = keras.Input((2, 2, 1280))  # of the default backbone at 64 pixels
    keras.Model(maps, keras.layers.GlobalAveragePooling2D()(maps)).save(folder / "my_head.keras")


def _write_targets(folder: Path, paths: list[str]) -> None:
    """Write tables of several labels and of numbers for the same images."""
    frame = pandas.DataFrame({"path": paths})
    tags = ["", "sea", "sky", "sea;sky"]
    frame.assign(tags=[tags[n % 4] for n in range(len(frame))]).to_csv(
        folder / "tags.csv", index=False
    )
    x, y = np.random.default_rng(0).uniform(0, 64, (2, len(frame))).round(1)
    ratings = [n % 5 + 1 for n in range(len(frame))]
    places = frame.assign(x=x, y=y, rating=ratings)
    places.to_csv(folder / "places.csv", index=False)


def _write_sources(folder: Path, rows: list[list[str]]) -> None:
    """Write the same images as other tables, archives and a data set."""
    frame = pandas.DataFrame(rows, columns=["path", "label", "patient"])
    frame.to_parquet(folder / "images.parquet")
    frame.to_json(folder / "images.jsonl", orient="records", lines=True)
    below = frame["path"].str.removeprefix("photos/")
    species = pandas.DataFrame({"filename": below, "species": frame["label"], "age": 3})
    species.to_csv(folder / "species.csv", index=False, sep=";", encoding="utf-16")
    shutil.make_archive(str(folder / "photos"), "zip", folder / "photos")
    shutil.make_archive(str(folder / "photos"), "gztar", folder, "photos")
    for name in ("five", "two"):
        (folder / "few").mkdir(exist_ok=True)
        shutil.copy(next((folder / "photos" / name).iterdir()), folder / "few" / f"{name}.jpg")
    if importlib.util.find_spec("datasets"):
        import datasets  # noqa: PLC0415  (an extra)

        features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("string")})
        columns = {
            "image": [str(folder / row[0]) for row in rows],
            "label": frame["label"].tolist(),
        }
        saved = datasets.Dataset.from_dict(columns, features)
        saved.save_to_disk(str(folder / "saved-photos"))


BOARD = """
[[run]]
source = "photos"
heads = ["gap", "flatten"]
protocol = "quick"
size = 64
"""
MODELS = """import keras


def build():
    return keras.models.load_model("trained.keras")
"""


def _model(pooling: keras.Layer) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            keras.layers.Rescaling(1 / 127.5, -1),
            keras.layers.Conv2D(16, 3, strides=4, activation="relu", name="conv_pw_11_relu"),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            pooling,
            keras.layers.Dense(len(CLASSES), activation="softmax"),
        ]
    )
