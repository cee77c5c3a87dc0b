"""A million rows of a CSV file become an index: seconds and memory.

``python benchmarks/index.py [--rows 1000000]``: every row has its file, which is looked for. Files
are links to a few, in folders of 10,000.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDER = 10_000


def write(root: Path, rows: int) -> Path:
    """Write files and table."""
    lines = ["path,label,split,group"]
    for row in range(rows):
        folder = root / f"part{row // FOLDER:04}"
        if row % FOLDER == 0:
            folder.mkdir()
            (folder / "first.dat").write_bytes(b"x")
        os.link(folder / "first.dat", folder / f"image_{row:07}.jpg")
        split = "test" if row % 10 == 0 else "train"
        lines.append(
            f"{folder.name}/image_{row:07}.jpg,class {row // 10 % 100},{split},patient {row // 20}"
        )
    table = root / "images.csv"
    table.write_text("\n".join(lines) + "\n", "utf-8")
    return table


def measure(table: str) -> None:
    """Index the table; print rows, seconds, and megabytes of the process at its largest."""
    from headfit.images.index import ImageIndex

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    index = ImageIndex.from_table(table)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{len(index):,} rows: {seconds:.1f} s, {peak / 1e3:.0f} MB (imports {before / 1e3:.0f})")


def main() -> None:
    """Measure in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--measure")
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    with tempfile.TemporaryDirectory() as root:
        table = write(Path(root), arguments.rows)
        for _ in range(3):
            subprocess.run([sys.executable, __file__, "--measure", str(table)], check=True)


if __name__ == "__main__":
    main()
