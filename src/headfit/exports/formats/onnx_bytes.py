"""ONNX that takes the bytes of an image file: the decoder is inside the graph."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from headfit.errors import EngineError
from headfit.exports.formats.format import FLOAT32, PRECISIONS, Predict, Subject, require
from headfit.exports.formats.onnx import Onnx, runtime_session
from headfit.exports.formats.onnx_decoding import IMAGE, with_decoder
from headfit.exports.record import IMAGES, ExportRecord
from headfit.util import files

FROM_BYTES = {
    "input": IMAGE,
    "decoder": "DecodeImage of onnxruntime-extensions",
    "reads": "JPEG in colour, PNG of up to 8 bits; turned upright by EXIF",
    "refuses": "JPEG in grey or CMYK; PNG with transparency, of 16 bits or interlaced; the rest",
    "differs": "JPEG: halved colours are enlarged in another way, large files are decoded in full",
}
"""What the record of such a file says of its decoder."""
Serve = Callable[[bytes], np.ndarray]


class OnnxBytes:
    """See :class:`~headfit.exports.formats.format.Format`.

    Its input is ``image``, uint8 (bytes,): the content of one file.
    """

    name = "onnx_bytes"
    file = "model_bytes.onnx"
    precisions = PRECISIONS
    outlier_score = True

    def check(self, precision: str = FLOAT32) -> None:
        """Refuse where the packages are missing."""
        Onnx().check(precision)
        require("from-bytes", "`from_bytes=True`", "onnxruntime_extensions")

    def write(self, subject: Subject, path: Path) -> None:
        """Write the network as ONNX, then put the decoder in front."""
        import onnx  # noqa: PLC0415  (optional)

        contract = subject.record.contract
        with tempfile.TemporaryDirectory(prefix=files.scratch_prefix()) as folder:
            network = Path(folder) / Onnx.file
            Onnx().write(subject, network)
            model = onnx.load(str(network))
        onnx.save(with_decoder(model, contract.height, contract.width, IMAGES), str(path))
        onnx.checker.check_model(str(path), full_check=True)

    def serve(self, path: Path, threads: int | None = None) -> Serve:
        """Open it in ONNX Runtime.

        Args:
            path: what :meth:`write` wrote.
            threads: how many the runtime may use; its own choice if None.

        Returns:
            From the content of a file to a row of outputs, float32 (K,) or (K + 1,). It raises
            :class:`EngineError` for what the graph refuses.
        """
        import onnxruntime_extensions  # noqa: PLC0415  (optional)

        session = runtime_session(path, threads, onnxruntime_extensions.get_library_path())

        def run(content: bytes) -> np.ndarray:
            try:
                outputs = session.run(None, {IMAGE: np.frombuffer(content, np.uint8)})
            except Exception as error:
                raise EngineError(" ".join(str(error).split())[:200]) from error
            row: np.ndarray = np.concatenate(outputs, axis=1)[0]
            return row

        return run

    def open(self, path: Path, threads: int | None = None) -> Predict:
        """Open it for pixels, which go there as PNG files."""
        run = self.serve(path, threads)
        return lambda images: np.stack([run(_png(image)) for image in images])

    def read_record(self, path: Path) -> ExportRecord:
        """Read the record from ``metadata_props``."""
        return Onnx().read_record(path)


def _png(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", compress_level=0)
    return stream.getvalue()


def says_so(record: ExportRecord) -> ExportRecord:
    """Give the record of a file that decodes by itself."""
    return replace(record, from_bytes=FROM_BYTES)
