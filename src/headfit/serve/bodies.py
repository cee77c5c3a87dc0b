"""Image files in the body of a request: one as it is, or several as a form; read in pieces."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from headfit.errors import ImageError
from headfit.serve.errors import Refused
from headfit.serve.limits import Limits

FIELD = "images"
NAME_LENGTH = 255
_FORM = b"multipart/form-data"
_RAW = ("image/", "application/octet-stream", "application/x-www-form-urlencoded")
"""What a file may be sent as; curl says the last of any. Its content decides what it is."""
File = tuple[str, bytes | ImageError]


async def read_files(request: Request, limits: Limits) -> list[File]:
    """Read the image files of a request into memory.

    Args:
        request: with a form whose fields are all called ``images``, or with a file as its body.
        limits: ``file_bytes`` and ``files``; the guard before it holds ``body_bytes``.

    Returns:
        The name and the content of each, or why it is refused.

    Raises:
        Refused: if the body is neither, is damaged, or has too many files.
    """
    kind, options = parse_options_header(request.headers.get("Content-Type", ""))
    if kind == _FORM:
        files = await _read_form(request, options.get(b"boundary", b""), limits)
    elif not kind or kind.decode("latin-1").startswith(_RAW):
        files = [("image", await _read_whole(request, limits))]
    else:
        raise Refused(
            f"The body must be an image file, or a form (multipart/form-data) with image files in "
            f"its field '{FIELD}'. Received: Content-Type {kind.decode('latin-1')[:100]!r}.",
            415,
        )
    if not files:
        raise Refused(f"The form has no file. Send image files in its field '{FIELD}'.")
    return files


def _too_large(limits: Limits) -> ImageError:
    return ImageError(f"too large: more than {limits.file_bytes:,} bytes")


async def _read_whole(request: Request, limits: Limits) -> bytes | ImageError:
    body = bytearray()
    async for part in request.stream():
        body += part
    if not body:
        raise Refused("The body is empty. Send an image file.")
    return bytes(body) if len(body) <= limits.file_bytes else _too_large(limits)


async def _read_form(request: Request, boundary: bytes, limits: Limits) -> list[File]:
    form = _Form(limits)
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]
        async for part in request.stream():
            parser.write(part)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise Refused("The form in the body is damaged, or its boundary is missing.") from error
    if not form.ended:
        raise Refused("The form in the body is cut off.")
    return form.files


@dataclass
class _Form:
    """What the parser of a form calls back."""

    limits: Limits
    files: list[File] = field(default_factory=list)
    ended: bool = False
    _header: bytes = b""
    _value: bytes = b""
    _disposition: bytes = b""
    _name: str = ""
    _content: bytearray = field(default_factory=bytearray)
    _large: bool = False

    def callbacks(self) -> dict[str, object]:
        """Give what the parser calls by the name of the event."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        if len(self.files) == self.limits.files:
            raise Refused(f"A request may have {self.limits.files} files.", 413)
        self._header = self._value = self._disposition = b""
        self._content, self._large = bytearray(), False

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        name = _text(options.get(b"name", b""))
        if name != FIELD:
            raise Refused(
                f"The form may only have the field '{FIELD}', once for each file. "
                f"Received: {name[:100]!r}."
            )
        given = _text(options.get(b"filename", b""))[:NAME_LENGTH]
        self._name = given or f"image {len(self.files) + 1}"

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._large or len(self._content) + end - start > self.limits.file_bytes:
            self._content, self._large = bytearray(), True
        else:
            self._content += data[start:end]

    def _end(self) -> None:
        content = _too_large(self.limits) if self._large else bytes(self._content)
        self.files.append((self._name, content))
        self._content = bytearray()

    def _finish(self) -> None:
        self.ended = True


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
