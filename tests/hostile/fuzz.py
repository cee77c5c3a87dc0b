"""Feed the readers of foreign files with mutated ones, by hand: neither a test nor part of CI.

    pip install atheris
    python tests/hostile/fuzz.py TARGET --seconds 600

Fails on whatever is not a plain error of headfit's, takes over two seconds, or over one gigabyte.
The input that did it is left in the current folder. ``--help`` names the targets. Figures of the
last run are in SECURITY.md.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import json
import os
import random
import shutil
import struct
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import atheris
import h5py

os.environ["KERAS_BACKEND"] = "jax"
os.environ["HEADFIT_HOME"] = tempfile.mkdtemp(prefix="headfit-fuzz-home-")
sys.path.insert(0, str(Path(__file__).parents[1]))
with atheris.instrument_imports(include=["headfit", "PIL", "pickle", "tarfile", "zipfile"]):
    import pickle
    import tarfile
    import zipfile

    from click import ClickException

    from headfit.backbones import torch_file
    from headfit.cli.main import group
    from headfit.errors import HeadfitError
    from headfit.features import store
    from headfit.images import decode
    from headfit.images.index import ImageIndex
    from headfit.model.metadata import ModelRecord
    from headfit.monitor.folder import RunFolder
    from headfit.report.view import read_predictions
    from headfit.util import saved_model

from photos import CLASSES, write_folder

SECONDS, MEGABYTES = 2, 1024  # that one input may take
SUFFIXES = {b"PK": ".zip", b"\x1f\x8b": ".tgz", b'{"': ".jsonl"}  # by the first bytes; else .csv
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 0.5, 1e308, 10**400, float("nan"), float("inf")),
    *("", "\x1b[2J", "=1+1", "../../x", "\\\\host\\share", "\udcff", "a" * 5000),
    *([], {}, [[]], [None], {"": None}, [0] * 1000),
)


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes:
        seeds: write valid inputs to a folder.
        attempt: read one input; errors of headfit's are expected.
        is_json: whether to replace values in the input and not only bytes.
        suffix: of the file that is read; found from its first bytes if empty.
    """

    seeds: Callable[[Path], Any]
    attempt: Callable[[Path], Any]
    suffix: str
    is_json: bool = False


def images(folder: Path) -> None:
    """Write an image of every format that is read."""
    from PIL import Image  # noqa: PLC0415

    rng = random.Random(0)
    picture = Image.frombytes("RGB", (40, 30), rng.randbytes(3600))
    for suffix in ("jpg", "png", "webp", "bmp", "gif", "tif", "avif", "heic"):
        with contextlib.suppress(ValueError, KeyError, OSError):
            picture.save(folder / f"seed.{suffix}", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")
        with contextlib.suppress(ValueError, KeyError, OSError):
            picture.save(folder / f"plain.{suffix}")
    Image.frombytes("I;16", (40, 30), rng.randbytes(2400)).save(folder / "deep.png")
    Image.frombytes("LA", (40, 30), rng.randbytes(2400)).save(folder / "clear.png")
    Image.frombytes("CMYK", (40, 30), rng.randbytes(4800)).save(folder / "print.jpg")
    picture.save(folder / "pages.tif", save_all=True, append_images=[picture], compression="jpeg")
    picture.save(folder / "moves.webp", save_all=True, append_images=[picture])


def run_folder() -> Path:
    """Make a small run, once."""
    photos = write_folder(Path(tempfile.mkdtemp()) / "photos", 10)
    run = photos.parent / "run"
    options = "--backbone MobileNet --size 64 --weights random --heads gap,flatten --folds 3"
    rest = ["--repeats", "1", "--out", str(run)]
    group.main(["compare", str(photos), *options.split(), *rest], standalone_mode=False)
    return run


def of_run(name: str) -> Callable[[Path], Any]:
    """Return a seed: a file of a run."""
    return lambda folder: shutil.copy(RUN / name, folder / name)


def in_run(name: str, arguments: list[str]) -> Callable[[Path], Any]:
    """Return an attempt: a command on the run with one of its files replaced."""

    def attempt(path: Path) -> None:
        shutil.copy(path, RUN / name)
        group.main([*arguments, str(RUN)], standalone_mode=False)

    return attempt


def tables(folder: Path) -> None:
    """Write a table of each kind."""
    rows = 'path,label,group,split\nblue/00.jpg,b lue,1,train\nred/00.jpg,"r\nd",2,train\n'
    (folder / "a.csv").write_text(rows)
    (folder / "b.csv").write_text("\ufeff" + rows.replace(",", ";"), "utf-8")
    (folder / "c.csv").write_text("sep=\t\n" + rows.replace(",", "\t"), "utf-16")
    records = [{"path": f"{c}/00.jpg", "label": c} for c in ("blue", "red")]
    (folder / "d.jsonl").write_text("\n".join(map(json.dumps, records)))


def archives(folder: Path) -> None:
    """Write an archive of each kind."""
    photos = write_folder(Path(tempfile.mkdtemp()) / "photos", 1)
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with zipfile.ZipFile(folder / f"{method}.zip", "w", method) as archive:
            for path in sorted(photos.rglob("*.jpg")):
                archive.write(path, path.relative_to(photos))
    for kind in ("", "gz", "bz2", "xz"):
        with tarfile.open(folder / f"{kind}.tar", f"w:{kind}") as tar:
            tar.add(photos, "photos")


def read_archive(path: Path) -> None:
    """List an archive, and decode what is in it."""
    index = ImageIndex.from_archive(path)
    for name in index.paths[:5]:
        decode.decode(index.source.read_bytes(name), 32, 32)


def bare_model(target: Path, config: bytes = b"") -> None:
    """Copy a model with a file of weights that holds none."""
    with h5py.File(weights := io.BytesIO(), "w"):
        pass
    with zipfile.ZipFile(RUN / "model.keras") as archive, zipfile.ZipFile(target, "w") as copied:
        parts = {name: archive.read(name) for name in archive.namelist()}
        for name, content in (parts | {"model.weights.h5": weights.getvalue()}).items():
            copied.writestr(name, (name == "config.json" and config) or content)


def model(folder: Path) -> None:
    """Write a model."""
    bare_model(folder / "model.keras")
    ModelRecord.read(folder / "model.keras")
    saved_model.read(folder / "model.keras")


def model_config(folder: Path) -> None:
    """Take the configuration out of a model."""
    import keras  # noqa: F401, PLC0415  (the check needs it, and it takes seconds)

    with zipfile.ZipFile(RUN / "model.keras") as archive:
        (folder / "config.json").write_bytes(archive.read("config.json"))


def read_config(path: Path) -> None:
    """Check a model with this configuration."""
    bare_model(changed := path.with_suffix(".keras"), path.read_bytes())
    list(saved_model.complaints(saved_model.read(changed).config))


def state_dict(folder: Path) -> None:
    """Write a state dict of one tensor as PyTorch did before 1.6."""
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x06tQ"
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + b"K\0K\x02K\x03\x86K\x03K\x01\x86\x89}tR"
    )
    state = b"\x80\x02}X\x01\0\0\0a" + tensor + b"s."
    before, after = (torch_file.MAGIC, 1001, {}), ["0"]
    parts = [*(pickle.dumps(part, 2) for part in before), state, pickle.dumps(after, 2)]
    content = b"".join(parts) + struct.pack("<q6f", 6, *range(6))
    (folder / "tensor.pth").write_bytes(content)
    assert torch_file.read_state_dict(folder / "tensor.pth")


def blocks(folder: Path) -> None:
    """Take the record of a block of features, and facts."""
    for kind in ("block-*.json", "facts.json"):
        for record in Path(os.environ["HEADFIT_HOME"]).glob(f"features/**/{kind}"):
            shutil.copy(record, folder / f"{record.parent.name}-{record.name}")
            STORES.append(record.parent)


def read_block(path: Path) -> None:
    """Look for damage in a store whose records are replaced."""
    for name in ("block-fuzz.json", "facts.json"):
        shutil.copy(path, STORES[0] / name)
    store.damage(STORES[0])
    store.facts_in(STORES[0])


def read_csv(path: Path) -> None:
    """Read held-out predictions."""
    text = path.read_bytes().decode("utf-8", "replace")
    read_predictions(text, CLASSES)


def read_progress(path: Path) -> None:
    """Read the progress of a run, as its live page does."""
    shutil.copy(path, RUN / "progress.json")
    RunFolder(RUN).progress()


def read_image(path: Path) -> None:
    """Decode an image at a common size."""
    decode.decode(path.read_bytes(), 64, 64)


def read_table(path: Path) -> None:
    """List the images of a table."""
    ImageIndex.from_table(path, root=PHOTOS)


STORES: list[Path] = []
RUN = Path()
PHOTOS = Path()
TARGETS = {
    "image": Target(images, read_image, ".bin"),
    "table": Target(tables, read_table, ""),
    "archive": Target(archives, read_archive, ".zip"),
    "model": Target(model, ModelRecord.read, ".keras"),
    "configuration": Target(model_config, read_config, ".json", is_json=True),
    "results": Target(of_run("results.json"), in_run("results.json", ["report"]), ".json", True),
    "progress": Target(of_run("progress.json"), read_progress, ".json", is_json=True),
    "predictions": Target(of_run("predictions.csv"), read_csv, ".csv"),
    "store": Target(blocks, read_block, ".json", is_json=True),
    "weights": Target(state_dict, torch_file.read_state_dict, ".pth"),
}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """List every place in plain data: its container, and key or number."""
    waiting = [value]
    while waiting:
        container = waiting.pop()
        if isinstance(container, (dict, list)):
            keys = container.keys() if isinstance(container, dict) else range(len(container))
            yield from ((container, key) for key in keys)
            waiting += [container[key] for key in keys]


def mutate_json(data: bytes, max_size: int, seed: int) -> bytes:
    """Replace, drop or repeat some values; sometimes some bytes."""
    rng = random.Random(seed)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return bytes(atheris.Mutate(data, max_size))
    if rng.random() < 0.1 or not isinstance(value, (dict, list)) or not value:
        return bytes(atheris.Mutate(data, max_size))
    for _ in range(rng.choice((1, 1, 1, 3))):
        spots = list(places(value))
        if not spots:
            break
        container, key = rng.choice(spots)
        if rng.random() < 0.2:
            del container[key]
        elif rng.random() < 0.2 and isinstance(container, list):
            container.insert(key, container[key])
        else:
            container[key] = copy.deepcopy(rng.choice(VALUES))
    return json.dumps(value).encode()[:max_size]


def main() -> None:
    """Fuzz one target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--again", type=Path, help="a file that failed: read it once")
    options = parser.parse_args()
    global RUN, PHOTOS
    PHOTOS = write_folder(Path(tempfile.mkdtemp()) / "photos", 2)
    RUN = run_folder()
    target = TARGETS[options.target]
    folder = Path(tempfile.mkdtemp())
    corpus, work = folder / "corpus", folder / "work"
    corpus.mkdir()
    work.mkdir()
    target.seeds(corpus)

    def attempt(data: bytes) -> None:
        path = work / f"input{target.suffix or SUFFIXES.get(data[:2], '.csv')}"
        path.write_bytes(data)
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.suppress(HeadfitError, ClickException),
        ):
            target.attempt(path)

    if options.again:
        attempt(options.again.read_bytes())
        return
    limits = [f"-max_total_time={options.seconds}", f"-timeout={SECONDS}", "-max_len=1000000"]
    limits += [f"-rss_limit_mb={MEGABYTES + 500}", "-len_control=0", "-print_final_stats=1"]
    mutator = {"custom_mutator": mutate_json} if target.is_json else {}
    atheris.Setup([sys.argv[0], *limits, str(corpus)], attempt, **mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
