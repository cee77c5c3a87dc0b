"""Image files that would keep a decoder busy, or take gigabytes: refused, or ended, and no harm."""

from __future__ import annotations

import concurrent.futures
import gzip
import io
import os
import signal
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

import image_bombs as bombs
from headfit.errors import DataError, ImageError
from headfit.images import budget, flatten, helper, structure
from headfit.images.budget import Budget
from headfit.images.contract import Contract
from headfit.images.decode import decode, decode_here
from headfit.images.depth import Depth
from headfit.images.ends import ends_of_image
from headfit.images.read_ahead import decode_images
from headfit.images.sources.members import open_members
from image_bombs import box, chunk, encoded, segment

pillow_heif.register_heif_opener()  # of the files here
MEGABYTE = bytes(10**6)
PHOTOSHOP = b"Photoshop 3.0\0"

MANY: dict[str, Callable[[], bytes]] = {
    "64 segments of EXIF": lambda: bombs.jpeg(segment(0xE1, b"Exif\0\0" + bytes(60)) * 100_000),
    "64 segments of Photoshop": lambda: bombs.jpeg(segment(0xED, PHOTOSHOP) * 1000),
    "1,000 segments": lambda: bombs.jpeg(segment(0xFE, b"x") * 100_000),
    "1,000 segments ": lambda: bombs.jpeg(segment(0xDB, (b"\0" + bytes(64)) * 1000) * 2),
    "1,000 segments   ": lambda: bombs.jpeg(segment(0xDB, b"") * 100_000),
    "1,000 segments  ": lambda: bombs.jpeg(b"\xff\xd0" * 100_000),
    "100,000 bytes between segments": lambda: bombs.jpeg(b"\xff" * 2_000_000),
    "100 scans": lambda: bombs.scans(2000),
    "1,000 chunks": lambda: bombs.png(8, 8, (8, 2), chunk(b"tEXt", b"a\0b") * 100_000),
    "64 compressed chunks": lambda: bombs.png(
        8, 8, (8, 2), chunk(b"iCCP", b"a\0\0" + zlib.compress(MEGABYTE)) * 1000
    ),
    "100,000 chunks of pixels": lambda: bombs.png(8, 8, (8, 2), chunk(b"IDAT", b"") * 200_000),
    "100,000 blocks": lambda: bombs.gif(b"!\xfe" + b"\1x" * 2_000_000 + b"\0"),
    "100,000 blocks ": lambda: bombs.gif(b"!\xf9\0\0" * 1_000_000),
    "100,000 blocks  ": lambda: bombs.gif(b"?" * 2_000_000),
    "10,000 frames": lambda: bombs.webp(20_000),
    "1,000 tags": lambda: bombs.tiff([(40_000 + n, 1, 10**6, 8) for n in range(2000)], MEGABYTE),
    "200,000 strips": lambda: bombs.tiff([(273, 4, 10**6, 8)], MEGABYTE * 4),
}


@pytest.mark.parametrize("limit", MANY)
def test_too_many_parts_are_refused_before_they_are_read(limit: str) -> None:
    data = MANY[limit]()
    start = time.process_time()
    with pytest.raises(ImageError, match=f"^damaged or hostile: more than {limit.strip()}"):
        decode(data, 32, 32)
    assert time.process_time() - start < 10  # readers take minutes


def test_tags_that_all_stand_for_the_same_bytes_are_refused() -> None:
    tags = [(40_000 + n, 1, 10**6, 8) for n in range(500)]
    for data in (
        bombs.tiff(tags, MEGABYTE),
        bombs.jpeg(
            segment(
                0xE1, b"Exif\0\0" + bombs.tiff([(n, 1, 9000, 8) for n in range(900)], bytes(9000))
            )
        ),
    ):
        with pytest.raises(ImageError, match="tags stand for more bytes than it has"):
            decode(data, 32, 32)


def animation(kind: str, count: int = 300) -> bytes:
    frames = [Image.new("RGB", (8, 8), (n % 256, 0, 200)) for n in range(count)]
    return encoded(frames[0], kind, save_all=True, append_images=frames[1:])


PROFILE = [b"ICC_PROFILE\0" + bytes([n, 255]) + bytes(60_000) for n in range(1, 256)]
DEPTH_MAP = b"http://ns.adobe.com/xmp/extension/\0" + bytes(65_000)
PACKED = chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(b"v"))
METADATA = b"!\xff\x0bXMP DataXMP" + (b"\xff" + bytes(255)) * 4000 + b"\0"
LEGITIMATE: dict[str, Callable[[], bytes]] = {
    "profile": lambda: bombs.jpeg(b"".join(segment(0xE2, part) for part in PROFILE)),
    "depth map": lambda: bombs.jpeg(segment(0xE1, DEPTH_MAP) * 200),
    "scans": lambda: bombs.scans(60),
    "several pictures": lambda: animation("MPO", 4),
    "texts": lambda: bombs.png(8, 8, (8, 2), chunk(b"tEXt", b"a\0b") * 500 + PACKED * 40),
    "GIF with metadata": lambda: bombs.gif(METADATA),
    "CMYK": lambda: encoded(image("CMYK"), "JPEG"),
    **{kind: partial(animation, kind) for kind in ("GIF", "PNG", "WEBP", "TIFF")},
}


@pytest.mark.parametrize("name", LEGITIMATE)
def test_what_programs_write_is_read(name: str) -> None:
    assert decode(LEGITIMATE[name](), 8, 8).shape == (8, 8, 3)


def image(mode: str) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (90, 70, 4), np.uint8)
    return Image.fromarray(values).convert("RGB" if mode in "1P" else mode).convert(mode)


FLAT = ["P", "1", "LA", "RGBA", "CMYK"]


@pytest.mark.parametrize("mode", [*FLAT, "I;16", "F", "wide"])
def test_an_image_converted_in_strips_is_that_converted_whole(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = np.random.default_rng(0).integers(0, 4000, (90, 70)).astype(np.uint16)
    if mode == "wide":
        data = wide_png(90, 70)
    elif mode in FLAT:
        data = encoded(image(mode), "TIFF" if mode == "CMYK" else "PNG")
    else:
        values = grey if mode == "I;16" else grey.astype(np.float32) / 4000
        data = encoded(Image.fromarray(values), "TIFF")
    for depth in (Depth((0.0, 4095.0), (0.0, 1.0)), Depth((0.0, 65535.0))):
        whole = decode_here(data, 32, 24, depth)
        with monkeypatch.context() as patch:
            patch.setattr(flatten, "STRIP", 70 * 7)
            np.testing.assert_array_equal(decode_here(data, 32, 24, depth), whole)


def wide_png(rows: int, columns: int) -> bytes:
    values = np.random.default_rng(0).integers(0, 2**16, (rows, columns * 3)).astype(">u2")
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in values))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", columns, rows, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_what_takes_more_memory_than_all_may_is_refused_by_its_header() -> None:
    side = struct.pack(">II", 14_000, 14_000)
    wide = wide_png(8, 8).replace(struct.pack(">II", 8, 8), side)
    wide = wide[:29] + struct.pack(">I", zlib.crc32(wide[12:29])) + wide[33:]
    progressive = bytearray(bombs.jpeg(progressive=True, subsampling=0))
    frame = progressive.index(b"\xff\xc2") + 5
    progressive[frame : frame + 4] = struct.pack(">HH", 14_000, 14_000)
    for data in (wide, bytes(progressive)):  # of the latter, all samples are held
        with pytest.raises(ImageError, match=r"^too large: decoding needs 1\.\d+ GB; the limit"):
            decode(data, 32, 32)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize(("kind", "most"), [((16, 0), 3.2), ((8, 6), 5.2), ((8, 3), 2.2)])
def test_the_peak_of_a_large_image_is_little_more_than_its_pixels(
    kind: tuple[int, int], most: float
) -> None:
    side = 7200  # 52 million pixels, so that a helper takes it, whose memory is seen from here
    before = chunk(b"PLTE", bytes(768)) if kind[1] == 3 else b""
    data = bombs.png(side, side, kind, before)
    assert len(data) < 10**6
    assert decode(data, 32, 32, Depth((0.0, 4095.0))).shape == (32, 32, 3)
    status = Path(f"/proc/{helper._idle[-1]._process.pid}/status").read_text()
    peak = 1024 * int(status.partition("VmHWM:")[2].split()[0])
    assert peak < most * side**2 + 120e6
    for each in helper._idle:  # the next one shall have a peak of its own
        each.kill()
    helper._idle.clear()


def test_threads_share_the_memory() -> None:
    shared, held, peaks, lock = Budget(100), [0], [0], threading.Lock()

    def work(count: int) -> None:
        with shared.take(count):
            with lock:
                held[0] += count
                peaks.append(held[0])
            time.sleep(0.002)
            with lock:
                held[0] -= count

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [30, 60, 90, 20, 100, 1, 40, 70] * 5))
    assert max(peaks) <= 100


def test_a_helper_gives_what_this_process_gives() -> None:
    heic = encoded(image("RGB"), "HEIF")
    assert not helper._busy
    np.testing.assert_array_equal(decode(heic, 24, 32), decode_here(heic, 24, 32))
    grey = np.random.default_rng(0).integers(0, 4000, (90, 70)).astype(np.uint16)
    lzma = encoded(Image.fromarray(grey), "TIFF", compression="lzma")
    assert ends_of_image(lzma) == ends_of_image(lzma, apart=False) == (grey.min(), grey.max())
    with pytest.raises(ImageError, match=r"^damaged HEIF"):
        decode(heic[:-300], 24, 32)


RUNS = {"BMP of runs": lambda: bombs.bmp_of_runs(4000, 2000), "AVIF": lambda: bombs.avif(40_000)}


@pytest.mark.parametrize("kind", RUNS)
def test_decoding_that_does_not_end_is_ended(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "LEAST_SECONDS", 1)
    monkeypatch.setattr(helper, "BYTES_A_SECOND", 10**9)
    with pytest.raises(ImageError, match=r"^decoding takes over 1 s, the limit for its size"):
        decode(RUNS[kind](), 32, 32)
    assert decode(encoded(image("RGB"), "HEIF"), 8, 8).shape == (8, 8, 3)


def test_a_decoder_that_crashes_costs_one_image() -> None:
    heic = encoded(image("RGB"), "HEIF")
    decode(heic, 8, 8)
    helper._idle[-1]._process.kill()
    with pytest.raises(ImageError, match=r"^its decoder crashed"):
        decode(heic, 8, 8)
    assert decode(heic, 8, 8).shape == (8, 8, 3)


def test_a_helper_that_was_stopped_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even if it had answered before."""
    heic = encoded(image("RGB"), "HEIF")
    thread, ask = threading.get_ident(), helper._Helper.ask

    def stopped_after(*arguments: Any) -> dict[str, Any]:
        answer = ask(*arguments)
        helper.stop([thread])
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(helper._Helper, "ask", stopped_after)
        assert decode(heic, 8, 8).shape == (8, 8, 3)
    helper.forget([thread])
    assert decode(heic, 8, 8).shape == (8, 8, 3)


HARD = """
import resource
from headfit.images.helper_child import _limit
resource.setrlimit(resource.RLIMIT_CPU, (50, 100))
resource.setrlimit(resource.RLIMIT_DATA, (2**33, 2**34))
for seconds in (3, 600):
    _limit(10**9, seconds)
print(resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_DATA)[1] == 2**34)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_helper_stays_within_the_limits_of_its_user() -> None:
    """A login node ends what takes minutes; to raise a hard limit would be an error."""
    command = [sys.executable, "-c", HARD]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert answer.stdout == "(100, 100) True\n"


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_ends_a_run_while_hostile_files_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{number}.bmp" for number in range(3)]
    data = bombs.bmp_of_runs(4000, 2000)
    for path in paths:
        path.write_bytes(data)
    contract = Contract(32, 32, (1.0,) * 3, (0.0,) * 3)
    monkeypatch.setattr("headfit.images.read_ahead.THREAD_SECONDS", -1.0)
    monkeypatch.setattr(helper, "LEAST_SECONDS", 600)
    sent = []

    def interrupt() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Timer(1.0, interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        list(decode_images(paths, contract))
    assert time.monotonic() - sent[0] < 5  # each takes longer, on any machine
    assert not helper._busy


def test_a_file_within_a_data_set_has_the_limit_of_a_file_on_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("headfit.images.gate.MAX_BYTES", 100)
    with pytest.raises(ImageError, match=r"^too large: [\d,]+ bytes; the limit is 100"):
        decode(bombs.jpeg(), 8, 8)


def test_boxes_of_an_avif_are_left_to_a_helper_if_there_are_many() -> None:
    plain = encoded(image("RGB"), "AVIF")
    many = plain + box(b"free", bytes(100_000))
    assert not structure.look(io.BytesIO(plain), "AVIF").hard
    assert structure.look(io.BytesIO(many), "AVIF").hard
    np.testing.assert_array_equal(decode(many, 8, 8), decode(plain, 8, 8))


def test_the_limit_of_memory_is_one_for_all_threads() -> None:
    assert budget.MEMORY._total == budget.MAX_MEMORY == 10**9


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_a_header_of_a_tar_that_would_fill_the_memory_is_refused(
    kind: bytes, suffix: str, tmp_path: Path
) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 4 * 10**9
    data = header.tobuf(tarfile.USTAR_FORMAT) + bytes(10_000)
    path = tmp_path / f"photos{suffix}"
    path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    with pytest.raises(DataError, match=r"a header of 4,000,000,000 bytes; the limit is 1,000,000"):
        open_members(path)
