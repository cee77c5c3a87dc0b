"""Tables from files: CSV as any program writes it, TSV, JSON Lines, Parquet; and from memory."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headfit.errors import DataError, UsageError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
MAX_BYTES = 2_000_000_000
MAX_ROWS = 50_000_000
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SAMPLE = 65_536  # bytes that show encoding and delimiter
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
Columns = list[list[Any]]
Row = Sequence[Any]


@dataclass(frozen=True)
class Table:
    """A table whose columns are read when they are asked for.

    Attributes:
        name: of the file, or what a table in memory is called in messages.
        names: of the columns.
        first_row: the number of the first row, as who looks at the table counts: in a CSV file the
            header is row 1.
        form: what is unusual about the file, such as ``"separated by semicolons"``.
        rows: takes names of columns and gives their cells row by row, as the file is read: text,
            numbers or None; None for a blank line.
    """

    name: str
    names: tuple[str, ...]
    first_row: int
    form: str
    rows: Callable[[Sequence[str]], Iterator[Row | None]]

    def read(self, names: Sequence[str]) -> Columns:
        """Return the cells of columns; a blank line is a row of None, so that rows keep numbers."""
        columns: Columns = [[] for _ in names]
        blank = [None] * len(columns)
        for row in self.rows(names):
            for cells, cell in zip(columns, row or blank, strict=True):
                cells.append(cell)
        return columns


def open_table(path: Path, max_bytes: int = MAX_BYTES, *, header: bool = True) -> Table:
    """Open a table by the suffix of its name; other files are read as CSV.

    Args:
        path: the table.
        max_bytes: the largest size that is accepted.
        header: whether the first row names the columns. If not, the first is called ``path``, and
            there is no other.

    Raises:
        UsageError: there is no such file, or ``pyarrow``, which reads Parquet, is not installed.
        DataError: it cannot be read, or is too large.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise UsageError(f"'{path}' is not a file. Give the path of a table.")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"'{path}' cannot be read ({reason}). Check the path.") from error
    if size > max_bytes:
        raise DataError(
            f"'{path}' has {size:,} bytes, more than the {max_bytes:,} that a table may have."
        )
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _parquet(path)
    return _json_lines(path) if suffix == ".jsonl" else _delimited(path, header)


def table_of(data: Any) -> Table:
    """Read a table in memory: a pandas or polars DataFrame, a pyarrow Table, a dict of columns.

    Raises:
        UsageError: it is of another type.
    """
    columns = data.keys() if isinstance(data, Mapping) else getattr(data, "columns", None)
    columns = getattr(data, "column_names", columns)
    if columns is None or not hasattr(data, "__getitem__"):
        raise UsageError.invalid("table", data, "the path of a table, or a DataFrame")
    keys = {str(key): key for key in columns}

    def rows(names: Sequence[str]) -> Iterator[Row]:
        cells = [data[keys[name]] for name in names]
        lengths = {name: len(column) for name, column in zip(names, cells, strict=True)}
        if len(set(lengths.values())) > 1:
            raise UsageError.invalid("table", lengths, "columns of one length")
        return zip(
            *map(_plain, cells),
            strict=True,
        )

    return Table("the table", tuple(map(str, columns)), 0, "", rows)


def _plain(column: Any) -> Any:
    """Return a column whose cells are Python's: those of lists would be columns else."""
    plain = getattr(column, "to_pylist", None) or getattr(column, "to_list", None)
    return plain() if plain else column


def western(text: str) -> str:
    """Read bytes that are not UTF-8 as Windows-1252, as programs on Windows write them.

    Args:
        text: with the lone surrogates that stand for such bytes.
    """
    if text.isascii() or not any("\udc80" <= each <= "\udcff" for each in text):
        return text
    data = text.encode("utf-8", "surrogateescape")
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:  # five bytes have no meaning there
        return data.decode("latin-1")


def _delimited(path: Path, has_header: bool) -> Table:
    """Open a CSV file; delimiter, quotes and encoding are what fits its first lines."""
    suffix = path.suffix.lower()
    with _readable(path), path.open("rb") as stream:
        sample = stream.read(_SAMPLE)
    encoding = _encoding(sample)
    with _readable(path):
        lines = _lines(sample.decode(encoding, _errors(encoding, sampled=True)), len(sample))
        above = len(lines) - len(list(itertools.dropwhile(_is_above, lines)))
        told = next((line[4] for line in lines[:above] if line.strip()), "")
        dialect = _dialect(lines[above:], told or ("\t" if suffix == ".tsv" else ""))
        header = next(csv.reader(lines[above:], **dialect), [])
    names = tuple(western(name).strip() for name in header) if has_header else ("path",)

    def rows(wanted: Sequence[str]) -> Iterator[Row | None]:
        places = [names.index(name) for name in wanted]
        errors = _errors(encoding)
        with _readable(path), path.open(encoding=encoding, errors=errors, newline="") as stream:
            lines = csv.reader(itertools.islice(stream, above, None), **dialect)
            for row in itertools.islice(lines, int(has_header), None):
                cells = [row[place] if place < len(row) else None for place in places]
                yield cells if any(cells) or any(row) else None

    form = []
    if encoding.startswith("utf-16"):
        form.append("encoded as UTF-16")
    elif not _is_utf8(sample):
        form.append("encoded as Windows-1252")
    if dialect["delimiter"] != ("\t" if suffix == ".tsv" else ","):
        shown = _DELIMITERS.get(dialect["delimiter"], repr(dialect["delimiter"]))
        form.append(f"separated by {shown}")
    if dialect["quotechar"] != '"':
        form.append("quoted by '")
    return Table(path.name, names, above + 1 + has_header, ", ".join(form), rows)


def _is_above(line: str) -> bool:
    """Whether a line stands above the header: a blank one, or ``sep=;`` as Excel writes it."""
    return not line.strip() or re.fullmatch(r"sep=[;,|\t]\s*", line, re.IGNORECASE) is not None


def _encoding(sample: bytes) -> str:
    marked = next((name for mark, name in _MARKS if sample.startswith(mark)), None)
    if marked:
        return marked
    half = len(sample) // 2
    if half and sample[1::2].count(0) > 0.3 * half:
        return "utf-16-le"
    if half and sample[::2].count(0) > 0.3 * half:
        return "utf-16-be"
    return "utf-8"


def _errors(encoding: str, *, sampled: bool = False) -> str:
    """Keep bytes that are not UTF-8; they may be cp1252 or names of files."""
    if encoding.startswith("utf-8"):
        return "surrogateescape"
    return "ignore" if sampled else "strict"


def _is_utf8(sample: bytes) -> bool:
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(sample) - error.start < 4  # cut within a character
    return True


def _lines(text: str, size: int) -> list[str]:
    lines = list(io.StringIO(text, newline=""))
    return lines[:-1] if size == _SAMPLE and len(lines) > 1 else lines


def _dialect(lines: list[str], told: str) -> dict[str, Any]:
    """Return what the csv module needs; ``told`` is the delimiter if it is known."""
    delimiter = told or _delimiter(lines)
    cells = [cell.strip() for cell in lines[0].split(delimiter)] if lines else []
    quoted = bool(cells) and all(len(cell) > 1 and cell[0] == cell[-1] == "'" for cell in cells)
    return {
        "delimiter": delimiter,
        "quotechar": "'" if quoted else '"',
        "skipinitialspace": True,
    }


def _delimiter(lines: list[str]) -> str:
    """Choose the one that gives all rows the most columns, equally many."""
    widths: dict[str, int] = {}
    for each in _DELIMITERS:
        rows = [row for row in itertools.islice(csv.reader(lines, delimiter=each), 50) if row]
        if rows and (width := len(rows[0])) > 1:
            widths[each] = width * (2 if all(len(row) == width for row in rows) else 1)
    return max(widths, key=lambda each: widths[each]) if widths else ","


def _json_lines(path: Path) -> Table:
    names: dict[str, None] = {}
    for record in itertools.islice(_records(path), 1000):
        names |= dict.fromkeys(record)

    def rows(wanted: Sequence[str]) -> Iterator[Row | None]:
        for record in _records(path):
            yield [record.get(name) for name in wanted] if record else None

    return Table(path.name, tuple(names), 1, "", rows)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    with _readable(path), path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, 1):
            try:
                record = json.loads(line) if line.strip() else {}
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                raise DataError(
                    f"Line {number} of '{path}' is not a JSON object. Mend or remove it."
                )
            yield record


def _parquet(path: Path) -> Table:
    try:
        import pyarrow  # noqa: PLC0415  (an extra)
        from pyarrow import parquet  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            f"'{path}' needs pyarrow. Install it with: pip install 'headfit[parquet]'"
        ) from error
    try:
        schema, count = parquet.read_schema(path), parquet.read_metadata(path).num_rows
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"'{path}' cannot be read as Parquet ({_first_line(error)}).") from error
    if count > MAX_ROWS:
        raise DataError(f"'{path}' has {count:,} rows, more than the {MAX_ROWS:,} allowed.")

    def rows(names: Sequence[str]) -> Iterator[Row]:
        try:
            with parquet.ParquetFile(path) as file:
                for part in file.iter_batches(columns=list(names)):
                    yield from zip(*(part.column(name).to_pylist() for name in names), strict=True)
        except (OSError, pyarrow.ArrowException) as error:
            raise DataError(
                f"'{path}' cannot be read as Parquet ({_first_line(error)})."
            ) from error

    return Table(path.name, tuple(schema.names), 1, "", rows)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Put what goes wrong while a file is read into one line."""
    try:
        yield
    except (OSError, csv.Error, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"'{path}' cannot be read as a table ({reason}).") from error
