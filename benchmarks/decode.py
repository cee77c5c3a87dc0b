"""Images per second of JPEG decoders, and how far their pictures are from the reference.

python benchmarks/decode.py
python benchmarks/decode.py --side 96 --rounds 9

The second part reads small PNG files in order and by headfit's reader.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median

import decoders
import numpy as np
from interleave import Contestant, Round, package_version, race
from PIL import Image
from tables import machine, markdown, rates_table

OURS = "headfit (Pillow, draft)"
DIGITS = 1000
DECODERS = {
    OURS: ("headfit_decode", ()),
    "Pillow, full decode": ("pillow_full", ()),
    "OpenCV, reduced, area": ("opencv_reduced", ("opencv-python-headless",)),
    "simplejpeg, scaled": ("simplejpeg_scaled", ("simplejpeg",)),
    "TensorFlow, full decode": ("tensorflow_full", ("tensorflow-cpu",)),
}
SIZES = {(500, 375): 96, (3000, 2000): 12}
SMALL = ((28, 32), (28, 224), (64, 64), (64, 224))


def main() -> None:
    """Race, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    print(machine(), f"\n{args.side}×{args.side} pixels out, {args.rounds} rounds\n")
    for (width, height), count in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            write_jpegs(Path(folder), width, height, count)
            print(f"{width}×{height} JPEG, {count} files a round\n")
            for threads in (1, 2):
                found = _rates(_contestants(folder, args.side, threads), args.rounds)
                print(rates_table(found, OURS, f"images/s, threads: {threads}"), "\n")
            print(differences(Path(folder), args.side), "\n")
    for pixels, side in SMALL:
        with tempfile.TemporaryDirectory() as folder:
            write_digits(Path(folder), pixels)
            setting = {"folder": folder, "side": side}
            readers = [
                Contestant("in order", "decoders:in_order", setting),
                Contestant("headfit's reader", "decoders:headfit_reader", setting),
            ]
            print(f"{pixels}×{pixels} PNG to {side}×{side}, {DIGITS:,} files a round\n")
            print(_with_cpu(race(readers, args.rounds)), "\n")


def _rates(contestants: list[Contestant], rounds: int) -> dict[str, list[float]]:
    found = race(contestants, rounds)
    return {name: [one.rate for one in done] for name, done in found.items()}


def _with_cpu(found: dict[str, list[Round]]) -> str:
    """Write rates, and the time of one core for an image, which other programs hardly change."""
    plain = found["in order"]
    rows = []
    for name, done in found.items():
        rates = [one.rate for one in done]
        cpu = [1000 * one.details["cpu_seconds"] / one.items for one in done]
        ratios = [one.rate / other.rate for one, other in zip(done, plain, strict=True)]
        rows.append([name, f"{median(rates):,.0f}", f"{median(cpu):.3f}", f"{median(ratios):.2f}"])
    return markdown(["reader", "median images/s", "core-ms an image", "against in order"], rows)


def write_jpegs(folder: Path, width: int, height: int, count: int) -> None:
    """Write photographs that scikit-image ships, cut and enlarged to one size, quality 90."""
    from skimage import data

    sources = [Image.fromarray(f()) for f in (data.chelsea, data.coffee, data.astronaut)]
    rng = np.random.default_rng(0)
    for number in range(count):
        source = sources[number % len(sources)]
        # a cut of the picture's own pixels, 0.6 to 0.9 of what fits
        part = rng.uniform(0.6, 0.9) * min(source.width / width, source.height / height)
        w, h = part * width, part * height
        left, top = rng.uniform(0, source.width - w), rng.uniform(0, source.height - h)
        box = (left, top, left + w, top + h)
        picture = source.resize((width, height), Image.Resampling.BICUBIC, box=box)
        picture.save(folder / f"{number:04}.jpg", quality=90)


def write_digits(folder: Path, side: int) -> None:
    """Write a thousand of scikit-learn's handwritten digits as PNG files, in class folders."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number in range(DIGITS):
        pixels = (digits.images[number] * 15.9).astype(np.uint8)
        path = folder / str(digits.target[number]) / f"{number:04}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC).save(path)


def differences(folder: Path, side: int) -> str:
    """Compare each decoder's pictures with the reference's, in grey levels of 255."""
    files = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    expected = [picture.astype(np.int16) for picture in _decoded("pillow_full", files, side)]
    rows = []
    for name, (decoder, needs) in DECODERS.items():
        if any(package_version(package) is None for package in needs):
            continue
        found = _decoded(decoder, files, side)
        away = np.abs(np.stack(found) - np.stack(expected))
        far = np.percentile(away, 99.9)
        rows.append([name, f"{away.mean():.2f}", f"{far:.0f}", f"{away.max()}"])
    return markdown(["decoder", "mean difference", "99.9th percentile", "largest"], rows)


def _decoded(decoder: str, files: list[bytes], side: int) -> list[np.ndarray]:
    decode = getattr(decoders, decoder)()
    return [decode(data, side) for data in files]


def _contestants(folder: str, side: int, threads: int) -> list[Contestant]:
    setting = {"folder": folder, "side": side, "threads": threads}
    return [
        Contestant(name, "decoders:decode_all", {**setting, "decoder": decoder}, needs=needs)
        for name, (decoder, needs) in DECODERS.items()
    ]


if __name__ == "__main__":
    main()
